"""Files of rows: CSV, TSV, JSON lines, Parquet and Arrow, read one row at a time.

Lines of text files count from 1, rows of Parquet and Arrow from 0. A bad row becomes a problem and the next one is
read; a file that cannot be read on is a DataError.
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
_ROWS_AT_ONCE = 32  # rows may hold pictures
_AGAIN = "Get the file again, or write it again."

Row = dict[str, Any]


def read_rows(path: Path, problems: Problems, delimiter: str = "") -> Iterator[tuple[int, Row]]:
    """(place, row by column) of each row.

    Args:
        path: its suffix, one of ROW_FILES, decides how it is read.
        problems: receives bad rows.
        delimiter: of CSV; default by suffix.

    Raises:
        DataError: missing, a pickle, of another suffix, without a header, or broken where no further row can be read.
    """
    refuse_pickle(path)
    suffix = path.suffix.lower()
    if suffix not in ROW_FILES:
        raise DataError(Problem(str(path), None, f"suffix {suffix!r}", f"Readable are {', '.join(ROW_FILES)}."))
    if not path.is_file():
        raise DataError(Problem(str(path), None, "not found", "Name a file that exists."))
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path, problems)
    if suffix in TEXT_FILES:
        return _separated(path, delimiter or TEXT_FILES[suffix], problems)
    return _columnar(path)


def files_in(folder: Path, names: str, suffixes: Sequence[str]) -> list[Path]:
    """The named files, separated by commas, or all of the folder that have one of the suffixes.

    Raises:
        DataError: no folder, no such file in it, or a name that leads out of it.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Name the folder of the files with --root."))
    if names:
        return [contained(folder, name.strip()) for name in names.split(",")]
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        what = f"no file of rows ({', '.join(suffixes)})"
        raise DataError(Problem(str(folder), None, what, "Put one there, or name it with file=NAME."))
    return found


def columns_of(path: Path) -> list[str]:
    """Names of the columns; of JSON lines those of the first row. [] of what cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return list(pq.read_schema(path).names)
        if path.suffix.lower() == ".arrow":
            with pa.memory_map(str(path)) as file:
                return list(_opened(file).schema.names)
        return list(next(read_rows(path, Problems()))[1])
    except (StopIteration, DataError, OSError, ValueError, pa.ArrowException):
        return []


def text_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(line from 1, text with its end) of a UTF-8 file; lines in another encoding become problems."""
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
                    problems.add(f"utf-8 {path}", Problem(str(path), number, "no UTF-8", "Convert the file to UTF-8."))
                    continue
                yield number, text
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", _AGAIN)) from None


def _separated(path: Path, delimiter: str, problems: Problems) -> Iterator[tuple[int, Row]]:
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for place, text in text_lines(path, problems):
            number = place
            yield text

    # a TSV has no quoting: a caption may open with a quotation mark
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
            raise DataError(Problem(str(path), first, f"no CSV from here on: {error}", "Correct the row.")) from None
        if not header:
            header = [name.strip() for name in fields]
            if not any(header) or len(set(header)) < len(header):
                what = f"first line is {', '.join(map(repr, header)) or 'empty'}, expected names of columns, each once"
                raise DataError(Problem(str(path), first, what, "Write the columns' names into the first line."))
        elif fields and len(fields) != len(header):
            what = f"{len(fields)} fields, the header has {len(header)}"
            problems.add(f"fields {path}", Problem(str(path), first, what, "Correct or quote the row's fields."))
        elif fields:
            yield first, dict(zip(header, fields, strict=True))
    if not header:
        raise DataError(Problem(str(path), None, "holds nothing", "It holds a header and rows."))


def _json_lines(path: Path, problems: Problems) -> Iterator[tuple[int, Row]]:
    for number, text in text_lines(path, problems):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if "\\ud" in text.lower():  # half of a surrogate pair, written as an escape, is no text
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problems.add(f"json {path}", Problem(str(path), number, f"no JSON: {error}", "Write one object a line."))
            continue
        if not isinstance(row, dict):
            what = f"{type(row).__name__}, expected an object"
            problems.add(f"object {path}", Problem(str(path), number, what, "Write one object a line."))
            continue
        yield number, row


def _columnar(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of Parquet or Arrow, a few at a time: the file is memory-mapped and may be larger than the memory."""
    first = 0
    try:
        for batch in _batches(path):
            batch.validate(full=True)  # offsets that lead out of a buffer would crash the process
            for start in range(0, len(batch), _ROWS_AT_ONCE):
                yield from enumerate(batch.slice(start, _ROWS_AT_ONCE).to_pylist(), first + start)
            first += len(batch)
    # the last is what Arrow raises for types that Python has no value of
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        what = f"not readable from row {first} on: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        raise DataError(Problem(str(path), first, what, _AGAIN)) from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    if path.suffix.lower() == ".parquet":
        with pq.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(batch_size=_ROWS_AT_ONCE)
        return
    with pa.memory_map(str(path)) as source:
        reader = _opened(source)
        if isinstance(reader, pa.RecordBatchFileReader):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)
        else:
            yield from reader


def _opened(source: Any) -> Any:
    """Arrow has two forms: files with an index at their end, and the streams that `save_to_disk` writes."""
    magic = source.read(6)
    source.seek(0)
    return pa.ipc.open_file(source) if magic == b"ARROW1" else pa.ipc.open_stream(source)
