"""`raytrain data detect`: the sources whose layout a folder has, and the command that builds its table."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raytrain.data.annotations.layouts import Layout
from raytrain.data.build import SOURCES
from raytrain.data.special_files import refuse_special_files
from raytrain.errors import DataError, Problem


@dataclass(frozen=True)
class Candidate:
    """A source whose layout a folder has.

    Args:
        source: its name.
        layout: the folder's files as the source reads them.
        command: shell command that builds the table once nothing is missing.
    """

    source: str
    layout: Layout
    command: str

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source, "command": self.command, **asdict(self.layout)}


def detect(root: str | os.PathLike[str]) -> list[Candidate]:
    """The sources whose layout a folder has: complete ones first, then by decreasing certainty.

    Raises:
        DataError: the folder does not exist, or has no source's layout.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(Problem(str(root), None, "not a folder", "Name the folder of a data set's files."))
    refuse_special_files(folder)
    fitting = [
        Candidate(source, layout, command_of(source, os.fspath(root), layout)) for source, layout in candidates(folder)
    ]
    if not fitting:
        if fix := _inside(folder, os.fspath(root)):
            raise DataError(Problem(str(root), None, "fits no known layout, but a folder in it does", fix))
        names = ", ".join(path.name for path in sorted(folder.iterdir())[:10]) or "nothing"
        readable = [name for name in SOURCES if not name.startswith("emoji")]
        what = f"fits no known layout; it holds {names}"
        fix = (
            f"docs/data.md shows the layouts of {', '.join(readable)}; the simplest is a captions.csv next to images/."
        )
        raise DataError(Problem(str(root), None, what, fix))
    fitting.sort(key=lambda option: (bool(option.layout.missing), -option.layout.certainty, option.source))
    return fitting


def candidates(folder: Path) -> Iterator[tuple[str, Layout]]:
    """(source, layout) for each source that recognises files in the folder."""
    for source in SOURCES:
        module = SOURCES[source]
        layout = module.looks_like(folder.resolve()) if hasattr(module, "looks_like") else None
        if layout is not None:
            yield source, layout


def _inside(folder: Path, root: str) -> str:
    """The advice to detect the first inner folder that fits a source; "" if none does."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if any(candidates(path)):
            return f"Try {shlex.join(['raytrain', 'data', 'detect', os.path.join(root, path.name)])}."
    return ""


def command_of(source: str, root: str, layout: Layout) -> str:
    """The command `raytrain data build ...` with the layout's options, quoted for a shell."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", Path(root).resolve().name).strip("_").lower() or "mine"
    words = ["raytrain", "data", "build", source, "--root", root, "--out", f"tables/{name}"]
    return shlex.join([*words, *(f"{key}={value}" for key, value in layout.options.items())])
