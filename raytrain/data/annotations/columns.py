"""Rows of a file as records: which column says what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from raytrain.data.annotations.records import Record, SourceLocation
from raytrain.data.annotations.row_files import Row
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

# what people call these columns, most telling first; `data detect` looks for them
IMAGE_NAMES = ("image", "file_name", "filename", "image_path", "filepath", "image_name", "file", "path", "img", "jpg")
TEXT_NAMES = (
    "text", "caption", "captions", "sentences", "sentence", "raw", "caption_0", "title", "description", "txt",
)  # fmt: skip
SPLIT_NAMES = ("split", "subset", "partition", "set")
_ROW = "Correct the row."


@dataclass(frozen=True)
class Columns:
    """Names of columns. A name that is not the default must exist; `text` may name several, separated by commas."""

    image: str = "image"
    text: str = "text"
    split: str = "split"
    id: str = "image_id"
    group: str = "group"
    attribution: str = "attribution"

    @property
    def texts(self) -> list[str]:
        return [name.strip() for name in self.text.split(",")]

    def check(self, row: Row, file: str, place: int, needs_image: bool = True) -> None:
        """Raises DataError if the first row lacks a column that must exist."""
        asked = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        must = {"text": self.texts, **{name: [getattr(self, name)] for name in asked - {"text"}}}
        if needs_image:
            must["image"] = [self.image]
        absent = [(option, name) for option, names in must.items() for name in names if name not in row]
        if absent:
            option, name = absent[0]
            what = f"no column {name!r} for {option}; there are {', '.join(map(repr, row)) or 'none'}"
            raise DataError(Problem(file, place, what, f"Name the column with {option}=COLUMN."))


def records_of(
    rows: Iterable[tuple[int, Row]],
    path: Path,
    columns: Columns,
    problems: Problems,
    embedded: bool = False,
) -> Iterator[Record]:
    """The record of each row that makes one; other rows become problems.

    Args:
        rows: (place, row) pairs of the file `path`.
        embedded: images may be pictures inside the row; else they are paths.
    """
    first = True
    for number, row in rows:
        if first:
            columns.check(row, str(path), number)
            first = False
        place = SourceLocation(str(path), number)
        before = len(problems)
        texts = [text for name in columns.texts for text in texts_of(row.get(name), name, place, problems)]
        words = {
            name: word_of(row.get(getattr(columns, name)), getattr(columns, name), place, problems)
            for name in ("split", "id", "group", "attribution")
        }
        file, data = _image(row.get(columns.image), columns.image, place, problems)
        if data is not None and not embedded:
            what = f"column {columns.image!r} holds pictures, not paths"
            problems.add("pictures", Problem(place.file, number, what, "Build with the source huggingface."))
        if len(problems) == before:
            yield Record(place, texts, file, data, **words)
    if first:
        problems.add(f"rows {path}", Problem(str(path), None, "no row", "Write rows, or remove the file."))


def texts_of(value: Any, name: str, place: SourceLocation, problems: Problems) -> list[str]:
    """Captions in a value: one, a list of them, or the `raw` of objects; [""] where there is none.

    texts_of('["a dog", "a cat"]', ...) -> ["a dog", "a cat"]: CSV has no lists, so that people write JSON into it.
    """
    if value is None:
        return [""]
    if isinstance(value, str):
        if value.startswith("[") and value.rstrip().endswith("]"):
            try:
                inner = json.loads(value)
                if isinstance(inner, list) and inner and all(isinstance(one, str) for one in inner):
                    return [one.encode(errors="replace").decode() for one in inner]
            except (ValueError, RecursionError):
                pass  # a caption in brackets
        return [value]
    if isinstance(value, dict):
        found = [value[key] for key in ("raw", "text", "caption") if isinstance(value.get(key), str)]
        if found:
            return found[:1]
    if isinstance(value, list):
        if not value:
            return [""]
        if all(one is None or isinstance(one, str | dict) for one in value):
            return [text for one in value for text in texts_of(one, name, place, problems)]
    what = f"{name!r} is {type(value).__name__}, expected a text or a list of texts"
    problems.add(f"kind {name}", Problem(place.file, place.row, what, _ROW))
    return []


def word_of(value: Any, name: str, place: SourceLocation, problems: Problems) -> str:
    """A text or whole number as text; "" of None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    what = f"{name!r} is {type(value).__name__}, expected a text or a whole number"
    problems.add(f"kind {name}", Problem(place.file, place.row, what, _ROW))
    return ""


def _image(value: Any, name: str, place: SourceLocation, problems: Problems) -> tuple[str, bytes | None]:
    """(path, bytes) of an image: a path, bytes, or an object with either as the datasets library writes it."""
    if value is None:
        return "", None
    if isinstance(value, str):
        return value.strip(), None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value), None  # a number that names features
    if isinstance(value, bytes):
        return "", value
    if isinstance(value, dict):
        path, data = value.get("path"), value.get("bytes")
        if (path is None or isinstance(path, str)) and (data is None or isinstance(data, bytes)):
            return path or "", data
    what = f"{name!r} is {type(value).__name__}, expected an image: a path, bytes, or {{bytes, path}}"
    problems.add(f"kind {name}", Problem(place.file, place.row, what, _ROW))
    return "", None
