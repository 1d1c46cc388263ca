"""Files of rows: CSV, TSV, JSON, Parquet and Arrow, read one row at a time.

Lines of text files count from 1, rows of Parquet and Arrow and entries of JSON arrays from 0. A bad row is added to the
problems and reading goes on with the next one; where no further row can be read, it ends with a DataError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.data.annotations.json_rows import JSON_FILES, json_rows
from raytrain.data.annotations.separated import separated_rows
from raytrain.data.paths import contained, entries, need_folder, refuse_pickle
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

SEPARATED_FILES = (".csv", ".tsv", ".txt")
LISTED_FILES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Suffixes of the files that are read unless files are named; a .txt or .json is often something else."""
ROW_FILES = (*SEPARATED_FILES, *JSON_FILES, ".parquet", ".arrow")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_ROWS_AT_ONCE = 32  # few, since rows may contain images
_AGAIN = "Get the file again, or write it again."

Row = dict[str, Any]


def read_rows(
    path: Path, problems: Problems, delimiter: str = "", encoding: str = "", header: bool = True
) -> Iterator[tuple[int, Row]]:
    """(row number, row by column) of each row.

    Args:
        path: its suffix, one of ROW_FILES, decides how it is read.
        problems: receives bad rows.
        delimiter: of CSV; by default found in the header (raytrain/data/annotations/separated.py).
        encoding: of text; by default found in the first bytes (raytrain/data/annotations/text_files.py).
        header: whether the first line of CSV holds the column names; else they are "0", "1", ...

    Raises:
        DataError: the file is missing, a pickle, of another suffix or without a header, or no further row can be read.
    """
    refuse_pickle(path)
    suffix = path.suffix.lower()
    if suffix not in ROW_FILES:
        fix = f"Use one of {', '.join(ROW_FILES)}."
        if suffix in SPREADSHEETS:
            fix = "Save the sheet as CSV UTF-8 in the program that wrote it."
        raise DataError(Problem(str(path), None, f"suffix {suffix!r} is not supported", fix))
    if not path.is_file():
        raise DataError(Problem(str(path), None, "not found", "Name a file that exists."))
    if suffix in JSON_FILES:
        return json_rows(path, problems, encoding)
    if suffix in SEPARATED_FILES:
        return separated_rows(path, problems, delimiter, encoding, header)
    return _columnar(path)


def files_in(folder: Path, names: str, suffixes: Sequence[str]) -> list[Path]:
    """The named files, or else all files of the folder with one of the suffixes, sorted.

    Args:
        folder: of the files.
        names: separated by commas; may be empty.
        suffixes: allowed ones, with dots, in lower case.

    Raises:
        DataError: the folder does not exist, has no such file, or a name leads out of it.
    """
    need_folder(folder, "folder of the files")
    if names:
        return [contained(folder, name.strip()) for name in names.split(",")]
    paths = [path for path in entries(folder) if path.suffix.lower() in suffixes and path.is_file()]
    if not paths:
        what = f"no file with rows ({', '.join(suffixes)})"
        raise DataError(Problem(str(folder), None, what, "Put one there, or name it with file=NAME."))
    return paths


def columns_of(path: Path, delimiter: str = "", encoding: str = "", header: bool = True) -> list[str]:
    """Names of the columns; for text and JSON those of the first row. [] if the file cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return list(pq.read_schema(path).names)
        if path.suffix.lower() == ".arrow":
            with pa.memory_map(str(path)) as file:
                return list(_open_arrow(file).schema.names)
        return list(next(read_rows(path, Problems(), delimiter, encoding, header))[1])
    except (StopIteration, DataError, OSError, ValueError, pa.ArrowException):
        return []


def _columnar(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of Parquet or Arrow, a few at a time; the memory-mapped file may be larger than the memory."""
    first = 0
    try:
        for batch in _batches(path):
            batch.validate(full=True)  # an offset outside its buffer would crash the process
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                yield from enumerate(batch.slice(start, _ROWS_AT_ONCE).to_pylist(), first + start)
            first += len(batch)
    # Arrow raises NotImplementedError for types without a Python value
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        what = f"not readable from row {first} on: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise DataError(Problem(str(path), first, what, _AGAIN)) from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    if path.suffix.lower() == ".parquet":
        with pq.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(batch_size=_ROWS_AT_ONCE)
        return
    with pa.memory_map(str(path)) as source:
        reader = _open_arrow(source)
        if isinstance(reader, pa.RecordBatchFileReader):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            yield from reader


def _open_arrow(source: Any) -> Any:
    """A reader of either Arrow format: files with an index at their end, or streams, which `save_to_disk` writes."""
    magic = source.read(6)
    source.seek(0)
    return pa.ipc.open_file(source) if magic == b"ARROW1" else pa.ipc.open_stream(source)
