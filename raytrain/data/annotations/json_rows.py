"""Rows of JSON: one object per line, one array of objects (alone or in an object), or image names and their captions.

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

    An object of names, {"1.jpg": ["a dog", "a brown dog"]}, gives rows with the keys "image" and "text". What pandas'
    `to_json` writes is read whichever its `orient` was.

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
        return path.suffix.lower() == ".json" or _is_array_of_objects(path)
    if path.suffix.lower() != ".json":
        return False
    first_line, _, rest = start.partition(b"\n")
    try:
        json.loads(first_line)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()


def _is_array_of_objects(path: Path) -> bool:
    """Whether a file as a whole is an array of objects; a file of lines may begin with a line that is an array."""
    try:
        return isinstance(read_json(path, list, _FIX)[0], Mapping)
    except DataError:
        return False


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
        value = _rows_in(path, value)
    for number, row in enumerate(value):
        yield from _object(path, number, row, problems)


def _rows_in(path: Path, whole: dict[str, Any]) -> list[Any]:
    """The rows in one object: its image names and their captions, or the only list of objects in it.

    Raises:
        DataError: it is neither; the forms of COCO and Karpathy have sources of their own.
    """
    if all(map(_is_captions, whole.values())):
        return [{"image": name, "text": captions} for name, captions in whole.items()]
    if rows := _pandas_rows(whole):
        return rows
    lists = [rows for rows in whole.values() if isinstance(rows, list) and rows and isinstance(rows[0], Mapping)]
    is_karpathy = "images" in whole and "sentences" in lists[0][0] if lists else False
    if len(lists) == 1 and not is_karpathy and not {"images", "annotations"} <= set(whole):
        return lists[0]
    keys = ", ".join(map(repr, list(whole)[:5]))
    what = f"one object with {keys}, expected an array of objects, or image names and their captions"
    fix = _FIX
    if is_karpathy:
        fix = "This is Karpathy's form: name the file dataset_NAME.json and build with the source karpathy."
    elif {"images", "annotations"} <= set(whole):
        fix = "This is COCO's form: name the file annotations/captions_train.json and build with the source coco."
    raise DataError(Problem(str(path), None, what, fix))


def _pandas_rows(whole: dict[str, Any]) -> list[Any]:
    """The rows of a frame as pandas writes it, by orient "columns", "index", "split" or "table"; [] of another object.

    Its default is "columns": {"image": {"0": "1.jpg", "1": ...}, "caption": {"0": "a dog", ...}}.
    """
    names, data = whole.get("columns"), whole.get("data")
    if set(whole) <= {"columns", "index", "data"} and isinstance(names, list) and isinstance(data, list):
        right = all(isinstance(name, str) for name in names) and all(
            isinstance(row, list) and len(row) == len(names) for row in data
        )
        return [dict(zip(names, row, strict=True)) for row in data] if right else []
    if set(whole) == {"schema", "data"} and isinstance(data, list):
        return data
    inner = list(whole.values())
    if not inner or not all(isinstance(value, Mapping) for value in inner):
        return []
    if all(key.isdecimal() for key in whole):
        return inner
    if all(key.isdecimal() for value in inner for key in value):
        index = dict.fromkeys(key for value in inner for key in value)
        return [{name: column.get(key) for name, column in whole.items()} for key in index]
    return []


def _is_captions(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value))


def _object(path: Path, number: int, row: Any, problems: Problems) -> Iterator[tuple[int, Row]]:
    if isinstance(row, Mapping):
        yield number, dict(row)
    else:
        what = f"{type(row).__name__}, expected an object"
        problems.add(f"object {path}", Problem(str(path), number, what, _ALLOW))
