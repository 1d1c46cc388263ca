"""Files of rows: CSV, TSV, JSON lines, Parquet and Arrow, read one row at a time.

Lines of text files count from 1, rows of Parquet and Arrow from 0. A bad row is added to the problems and reading goes
on with the next one; where no further row can be read, it ends with a DataError.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raytrain.data.paths import contained, open_binary, refuse_pickle
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

TEXT_FILES = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": ""}
ROW_FILES = (*TEXT_FILES, ".parquet", ".arrow")
MAX_LINE_BYTES = 64 * 2**20
_ROWS_AT_ONCE = 32  # few, since rows may contain images
_AGAIN = "Get the file again, or write it again."

Row = dict[str, Any]


def read_rows(path: Path, problems: Problems, delimiter: str = "") -> Iterator[tuple[int, Row]]:
    """(row number, row by column) of each row.

    Args:
        path: its suffix, one of ROW_FILES, decides how it is read.
        problems: receives bad rows.
        delimiter: of CSV; by default that of the suffix.

    Raises:
        DataError: the file is missing, a pickle, of another suffix or without a header, or no further row can be read.
    """
    refuse_pickle(path)
    suffix = path.suffix.lower()
    if suffix not in ROW_FILES:
        fix = f"Use one of {', '.join(ROW_FILES)}."
        raise DataError(Problem(str(path), None, f"suffix {suffix!r} is not supported", fix))
    if not path.is_file():
        raise DataError(Problem(str(path), None, "not found", "Name a file that exists."))
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, problems)
    if suffix in TEXT_FILES:
        return _separated(path, delimiter or TEXT_FILES[suffix], problems)
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
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Name the folder of the files with --root."))
    if names:
        return [contained(folder, name.strip()) for name in names.split(",")]
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        what = f"no file with rows ({', '.join(suffixes)})"
        raise DataError(Problem(str(folder), None, what, "Put one there, or name it with file=NAME."))
    return paths


def columns_of(path: Path) -> list[str]:
    """Names of the columns; for JSON lines those of the first row. [] if the file cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return list(pq.read_schema(path).names)
        if path.suffix.lower() == ".arrow":
            with pa.memory_map(str(path)) as file:
                return list(_open_arrow(file).schema.names)
        return list(next(read_rows(path, Problems()))[1])
    except (StopIteration, DataError, OSError, ValueError, pa.ArrowException):
        return []


def text_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(line number from 1, text with its line end) of a UTF-8 file; lines in another encoding are added to problems.

    Raises:
        DataError: the file cannot be read, or a line is longer than MAX_LINE_BYTES.
    """
    try:
        with open_binary(path) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    what = f"a line of more than {MAX_LINE_BYTES:,} bytes"
                    raise DataError(Problem(str(path), number, what, _AGAIN))
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    problem = Problem(str(path), number, "not UTF-8", "Convert the file to UTF-8.")
                    problems.add(f"utf-8 {path}", problem)
                    continue
                yield number, text
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", _AGAIN)) from None


def _separated(path: Path, delimiter: str, problems: Problems) -> Iterator[tuple[int, Row]]:
    """Rows of CSV or TSV, each under the number of its first line."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for line_number, text in text_lines(path, problems):
            number = line_number
            yield text

    # TSV has no quoting: a caption may begin with a quotation mark
    reader = (
        csv.reader(lines(), delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        if delimiter == "\t"
        else csv.reader(lines(), delimiter=delimiter, strict=True)
    )
    header: list[str] = []
    while True:
        first = number + 1  # a quoted field may hold line breaks
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise DataError(Problem(str(path), first, f"not CSV from here on: {error}", "Correct the row.")) from None
        if not header:
            header = [name.strip() for name in fields]
            if not any(header) or len(set(header)) < len(header):
                what = f"first line is {', '.join(map(repr, header)) or 'empty'}, expected column names, each once"
                raise DataError(Problem(str(path), first, what, "Write the column names into the first line."))
        elif fields and len(fields) != len(header):
            what = f"{len(fields)} fields, the header has {len(header)}"
            problems.add(f"fields {path}", Problem(str(path), first, what, "Correct or quote the row's fields."))
        elif fields:
            yield first, dict(zip(header, fields, strict=True))
    if not header:
        raise DataError(Problem(str(path), None, "empty file", "Write a header and rows."))


def _json_lines(path: Path, problems: Problems) -> Iterator[tuple[int, Row]]:
    fix = "Write one object per line."
    for number, text in text_lines(path, problems):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if "\\ud" in text.lower():  # an escaped half of a surrogate pair cannot be encoded later
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problems.add(f"json {path}", Problem(str(path), number, f"not JSON: {error}", fix))
            continue
        if not isinstance(row, dict):
            what = f"{type(row).__name__}, expected an object"
            problems.add(f"object {path}", Problem(str(path), number, what, fix))
            continue
        yield number, row


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
