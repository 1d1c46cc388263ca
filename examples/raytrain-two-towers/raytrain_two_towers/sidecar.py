"""Images with a text file of the same name beside each, one caption per line.

    train/1.jpg     train/1.txt: A red shoe.
    val/2.jpg       ...

The split is the folder below the root in which an image lies, or drawn (`val=0.1 test=0.1`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import GUESSED, Layout, image_files
from raytrain.data.annotations.records import Record, Shares, SourceLocation, split_of
from raytrain.data.paths import contained, open_binary
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem

MAX_TEXT_BYTES = 1 << 20


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """The table of all images below root that have a text file; the images stay where they are.

    Args:
        root: folder of the images and text files.
        out: folder of the new table.
        val, test: shares to draw by a hash of each image, where no split is stated.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: every problem of the files at once.
    """
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    return write_records(out, {"name": "sidecar"}, _records(folder, problems), shares, problems, folder)


def looks_like(root: Path) -> Layout | None:
    """What `raytrain data detect` says of a folder; None where the first images have no text file."""
    images = list(islice(image_files(root), 100))
    paired = [path for path in images if path.with_suffix(".txt").is_file()]
    if not paired:
        return None
    stated = all(_split(path.relative_to(root)) for path in paired)
    return Layout(
        [f"{paired[0].relative_to(root)} and its .txt"],
        options={} if stated else {"val": "0.1", "test": "0.1"},
        certainty=GUESSED,
    )


def _records(folder: Path, problems: Problems) -> Iterator[Record]:
    for image in sorted(image_files(folder)):
        name = image.relative_to(folder)
        text = name.with_suffix(".txt")
        if not (folder / text).exists():
            continue
        try:
            with open_binary(contained(folder, text.as_posix())) as file:
                lines = file.read(MAX_TEXT_BYTES).decode().splitlines()
        except DataError as error:
            problems.extend(error.problems)
        except UnicodeDecodeError:
            problems.add("encoding", Problem(str(text), None, "no UTF-8 text", "Save the file as UTF-8."))
        else:
            yield Record(SourceLocation(str(text), None), lines, file=name.as_posix(), split=_split(name))


def _split(name: Path) -> str:
    """The split that a folder of the path states; "" of none."""
    return next((part for part in name.parts[:-1] if split_of(part)), "")
