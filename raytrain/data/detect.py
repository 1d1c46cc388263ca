"""`raytrain data detect`: the sources whose layout a folder has, and the command that builds its table."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raytrain.data.annotations.layouts import GUESSED, KNOWN, Layout
from raytrain.data.annotations.row_files import SPREADSHEETS
from raytrain.data.build import SOURCES
from raytrain.data.paths import entries
from raytrain.data.special_files import refuse_special_files
from raytrain.errors import DataError, Problem


@dataclass(frozen=True)
class Candidate:
    """A source whose layout a folder has.

    Args:
        source: its name.
        layout: the folder's files as the source reads them.
        command: shell command that builds the table; empty while something is missing.
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
        Candidate(source, layout, "" if layout.missing else command_of(source, os.fspath(root), layout))
        for source, layout in candidates(folder)
    ]
    if not fitting:
        if fix := _inside(folder, os.fspath(root)):
            raise DataError(Problem(str(root), None, "fits no known layout, but a folder in it does", fix))
        names = ", ".join(path.name for path in entries(folder)[:10]) or "nothing"
        readable = [name for name in SOURCES if not name.startswith("emoji")]
        what = f"fits no known layout; it holds {names}"
        if sheets := [path.name for path in entries(folder) if path.suffix.lower() in SPREADSHEETS]:
            raise DataError(Problem(str(root), None, what, f"Save {sheets[0]} as CSV UTF-8; sheets are not read."))
        fix = (
            f"docs/data.md shows the layouts of {', '.join(readable)}; the simplest is a captions.csv next to images/."
        )
        raise DataError(Problem(str(root), None, what, fix))
    if any(option.layout.certainty == KNOWN for option in fitting):
        fitting = [option for option in fitting if option.layout.certainty > GUESSED]
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
    for path in (path for path in entries(folder) if path.is_dir() and not path.name.startswith(".")):
        if any(candidates(path)):
            return f"Try {shlex.join(['raytrain', 'data', 'detect', os.path.join(root, path.name)])}."
    return ""


def command_of(source: str, root: str, layout: Layout) -> str:
    """The command `raytrain data build ...` with the layout's options, quoted for a shell."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", Path(root).resolve().name).strip("_").lower() or "mine"
    words = ["raytrain", "data", "build", source, "--root", root, "--out", f"tables/{name}"]
    return shlex.join([*words, *(f"{key}={_as_text(value)}" for key, value in layout.options.items())])


def _as_text(value: Any) -> str:
    """An option's value as `data build` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
