"""Tables that gain, lose and change pictures."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from raytrain.data.build import build
from raytrain.data.encode.encode import encode
from tests.data.pictures import entry, karpathy, write_image


def table(folder: Path, models: Path, numbers: Iterable[int], changed: Collection[int] = ()) -> Path:
    """A table of the pictures of these numbers with their features; the `changed` ones hold another picture."""
    entries = [entry(number, "train") for number in numbers]
    root = karpathy(folder / "files", entries, pictures=False)
    for picture in entries:
        number = picture["imgid"]
        write_image(root / "images" / picture["filename"], number + 100 * (number in changed))
    made = build("karpathy", root, folder / "table")
    for backbone in ("vit", "bert"):
        encode(made.path, str(models / backbone), dtype="float32", progress=None)
    return made.path


def becomes(table: Path, other: Path) -> None:
    """Puts a copy of another table in the place of one."""
    shutil.rmtree(table)
    shutil.copytree(other, table)
