"""Rows of JSON: one object per line, one array of objects, or one object of image names and their captions.

The content decides, not the suffix: a .json often holds lines, and a .jsonl an array.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.text_files import head_of, text_lines
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

Row = dict[str, Any]
JSON_FILES = (".jsonl", ".ndjson", ".json")
_FIX = "Write one object per line, or one array of objects."
_ALLOW = "Write one object per line, or allow a share of such rows with allow_missing=SHARE."


def json_rows(path: Path, problems: Problems, encoding: str = "") -> Iterator[tuple[int, Row]]:
    """(row number, row by key) of each row: lines count from 1, entries of an array from 0.

    An object of names, {"1.jpg": ["a dog", "a brown dog"]}, gives rows with the keys "image" and "text".

    Args:
        path: of the file.
        problems: receives lines and entries that are no objects.
        encoding: of lines, by default found in the first bytes.

    Raises:
        DataError: the file cannot be read, or is neither of these.
    """
    if _is_one_value(path):
        return _entries(path, problems)
    return _lines(path, problems, encoding)


def _is_one_value(path: Path) -> bool:
    """Whether a file holds one JSON value rather than a line per object."""
    start = head_of(path).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        return _parses(path) if path.suffix.lower() != ".json" else True
    if path.suffix.lower() != ".json":
        return False
    first_line, _, rest = start.partition(b"\n")
    try:
        json.loads(first_line)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()


def _parses(path: Path) -> bool:
    """Whether a file as a whole is JSON; a file of lines may begin with a line that is an array."""
    try:
        read_json(path, list, _FIX)
    except DataError:
        return False
    return True


def _lines(path: Path, problems: Problems, encoding: str) -> Iterator[tuple[int, Row]]:
    for number, text in text_lines(path, problems, encoding):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if "\\ud" in text.lower():  # an escaped half of a surrogate pair cannot be encoded later
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problems.add(f"json {path}", Problem(str(path), number, f"not JSON: {error}", _ALLOW))
            continue
        yield from _object(path, number, row, problems)


def _entries(path: Path, problems: Problems) -> Iterator[tuple[int, Row]]:
    value = read_json(path, (list, dict), _FIX)
    if isinstance(value, dict):
        if not all(_is_captions(captions) for captions in value.values()):
            keys = ", ".join(map(repr, list(value)[:5]))
            what = f"one object with {keys}, expected an array of objects, or image names and their captions"
            raise DataError(Problem(str(path), None, what, _FIX))
        value = [{"image": name, "text": captions} for name, captions in value.items()]
    for number, row in enumerate(value):
        yield from _object(path, number, row, problems)


def _is_captions(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))


def _object(path: Path, number: int, row: Any, problems: Problems) -> Iterator[tuple[int, Row]]:
    if isinstance(row, Mapping):
        yield number, dict(row)
    else:
        what = f"{type(row).__name__}, expected an object"
        problems.add(f"object {path}", Problem(str(path), number, what, _ALLOW))
