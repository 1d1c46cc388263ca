"""Ids that are taken out of an index for good: `raytrain index RUN --remove FILE`."""

from __future__ import annotations

import os
from pathlib import Path

from raytrain.errors import DataError, Problem, UsageError
from raytrain.files import read_text
from raytrain.retrieval.indexing.embed_table import Target

FIX = "Give a text file in UTF-8 with an id per line, as results of a search name them."


def read_ids(file: str | os.PathLike[str]) -> dict[str, int]:
    """{id: the line that it stands in, from 1 on}

    Raises:
        DataError: there is no such file, or it is no text.
        UsageError: it names no id.
    """
    path = Path(file).expanduser()
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror}", FIX)) from None
    except UnicodeDecodeError:
        raise DataError(Problem(str(path), None, "not UTF-8", FIX)) from None
    ids = {line.strip(): number for number, line in enumerate(lines, start=1) if line.strip()}
    if not ids:
        raise UsageError(f"{path} names no id; {FIX[0].lower()}{FIX[1:]}")
    return ids


def kept_out_of(target: Target, file: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """What was kept out before, and the ids of a file.

    Args:
        file: as `read_ids` takes it; None removes nothing more.

    Raises:
        DataError: an id of the file is that of no row that the index is made of.
        UsageError: nothing would be left.
    """
    before = set(target.before.manifest.kept_out) if target.before is not None else set()
    if file is None:
        return tuple(sorted(before))
    ids, there = read_ids(file), set(target.ids_of(target.readable).to_pylist())
    for name, line in ids.items():
        if name not in there | before:
            what = f"no row of {target.table.path} that is indexed has the id {name!r}"
            raise DataError(Problem(str(file), line, what, "Remove the line, or correct it; nothing was removed."))
    result = before | set(ids)
    if there <= result:
        raise UsageError(f"{file} names all that is left in the index; remove its folder, {target.folder}, instead")
    return tuple(sorted(result))
