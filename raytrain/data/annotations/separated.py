"""Rows of CSV and TSV as spreadsheets, pandas and people write them.

A delimiter that is not named is that of the file's suffix if the header has it, else the tab, semicolon or pipe that
the header has; Excel's first line "sep=;" names it too. Empty columns at the end of the header, and rows in which
nothing stands, are what spreadsheets leave behind, and are left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raytrain.data.annotations.text_files import text_lines
from raytrain.data.images import IMAGE_SUFFIXES
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

Row = dict[str, Any]
DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}  # some characters mean more to shell or YAML
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_ALLOW = "or allow a share of such rows with allow_missing=SHARE."


def separated_rows(
    path: Path, problems: Problems, delimiter: str = "", encoding: str = "", header: bool = True
) -> Iterator[tuple[int, Row]]:
    """(number of the first line, row by column) of each row of a CSV or TSV.

    Args:
        path: of the file; TSV has no quoting, but a field in quotes with doubled quotes inside is what pandas writes.
        problems: receives rows with another number of fields than the header, and lines that are not in the encoding.
        delimiter: by default found in the header.
        encoding: by default found in the first bytes.
        header: whether the first line holds the column names; else they are "0", "1", ...

    Raises:
        DataError: the file cannot be read, has no column names, or no further row can be read.
    """
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for line_number, text in text_lines(path, problems, encoding):
            number = line_number
            end = "\n" if text.endswith("\n") else ""
            yield text.removesuffix("\n").removesuffix("\r").replace("\r", " ") + end

    all_lines = lines()
    first_line = next(all_lines, "")
    if stated := re.fullmatch(r'"?sep=(.)"?\s*', first_line, re.IGNORECASE):
        delimiter, first_line = delimiter or stated[1], next(all_lines, "")
    default = "\t" if path.suffix.lower() == ".tsv" else ","
    delimiter = delimiter or delimiter_of(first_line, default)
    # TSV has no quoting: a caption may begin with a quotation mark
    plain = path.suffix.lower() == ".tsv" and delimiter == "\t"
    whole = _prepended(first_line, all_lines)
    reader = (
        csv.reader(whole, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        if plain
        else csv.reader(whole, delimiter=delimiter, strict=True)
    )
    columns: list[str] = []
    start = number
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise DataError(Problem(str(path), start, f"not CSV from here on: {error}", "Correct the row.")) from None
        if plain:
            fields = [_without_quotes(field) for field in fields]
        if not columns:
            columns = _columns(path, start, fields) if header else [str(place) for place in range(len(fields))]
            if header:
                start = number + 1
                continue
        while len(fields) > len(columns) and not fields[-1].strip():
            fields.pop()
        if not any(field.strip() for field in fields):
            pass  # an empty line, or a spreadsheet's empty row
        elif len(fields) != len(columns):
            word = next((name for name, sign in DELIMITERS.items() if sign == delimiter), delimiter)
            what = f"{len(fields)} fields, the header has {len(columns)} (separated by {word})"
            fix = f"Correct or quote the row's fields, {_ALLOW}"
            problems.add(f"fields {path}", Problem(str(path), start, what, fix))
        else:
            yield start, dict(zip(columns, fields, strict=True))
        start = number + 1  # a quoted field may hold line breaks
    if not columns:
        raise DataError(Problem(str(path), None, "empty file", "Write a header and rows."))


def delimiter_of(first_line: str, default: str) -> str:
    """The delimiter that a first line shows.

    Without a header it is the one beside the name of an image; else the default if the line has it, else the most
    frequent one of DELIMITERS.
    """
    for sign in DELIMITERS.values():
        if sign in first_line and not has_header(first_line.split(sign)):
            return sign
    if default in first_line:
        return default
    count, delimiter = max((first_line.count(sign), sign) for sign in DELIMITERS.values())
    return delimiter if count else default


def has_header(fields: list[str]) -> bool:
    """Whether a first row holds column names: no field of it is the name of an image file."""
    return not any(re.sub(r"#\d+$", "", field.strip()).lower().endswith(IMAGE_SUFFIXES) for field in fields)


def _prepended(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _columns(path: Path, number: int, fields: list[str]) -> list[str]:
    """The column names of a header, without the empty ones at its end; DataError unless each is there once."""
    columns = [name.strip() for name in fields]
    while len(columns) > 1 and not columns[-1]:
        columns.pop()
    if not any(columns) or len(set(columns)) < len(columns):
        what = f"first line is {', '.join(map(repr, columns)) or 'empty'}, expected column names, each once"
        fix = "Write the column names into the first line, or say header=false if there are none."
        raise DataError(Problem(str(path), number, what, fix))
    return columns


def _without_quotes(field: str) -> str:
    """A field in quotes, with doubled quotes inside, without its outer quotes and with single ones; else unchanged."""
    quoted = _QUOTED.fullmatch(field)
    return quoted[1].replace('""', '"') if quoted and '""' in quoted[1] else field
