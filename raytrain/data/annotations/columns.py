"""Rows of a file as records: which column holds the image, the captions, the split and so on."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from raytrain.data.annotations.records import Record, SourceLocation
from raytrain.data.annotations.separated import DELIMITERS, Row
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem

# common names of these columns, most specific first; `data detect` looks for them
IMAGE_NAMES = (
    "image", "file_name", "filename", "image_path", "filepath", "file_path", "image_name", "image_file", "file", "path",
    "img", "img_path", "img_name", "photo", "picture", "pic", "jpg", "image_id",
)  # fmt: skip
TEXT_NAMES = (
    "text", "texts", "caption", "captions", "sentences", "sentence", "raw", "caption_text", "title", "description",
    "descriptions", "comment", "comments", "alt_text", "alt", "txt", "prompt",
)  # fmt: skip
SPLIT_NAMES = ("split", "subset", "partition", "set")
_FIX = "Correct the row."
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_QUOTED_TEXT = re.compile(_QUOTED, re.DOTALL)
_QUOTED_LIST = re.compile(rf"\[\s*(?:{_QUOTED})(?:(?:\s*,\s*|\s+)(?:{_QUOTED}))*\s*\]", re.DOTALL)
_NUMBERED = re.compile(r"(.*?)[ _-]?(\d+)")


def text_columns(columns: Sequence[str], names: Sequence[str] = TEXT_NAMES) -> list[str]:
    """The columns of captions by their names, whatever their case: the first of `names` that is there, and its series.

    text_columns(["image", "caption_0", "caption_1"]) -> ["caption_0", "caption_1"]; [] if there is none.
    """
    series: dict[str, list[str]] = {}
    for column in columns:
        numbered = _NUMBERED.fullmatch(column.lower())
        series.setdefault(numbered[1] if numbered else column.lower(), []).append(column)
    return next((series[name] for name in names if name in series), [])


def unused_columns(columns: Sequence[str], used: Columns) -> list[str]:
    """The columns that a build does not read, for table.json: captions in one of them are not lost unseen."""
    named = {*used.texts, used.image, used.split, used.id, used.group, used.attribution}
    return [column for column in columns if column not in named]


@dataclass(frozen=True)
class Columns:
    """Names of columns. A column that is not named by default must exist; `text` may name several, comma-separated."""

    image: str = "image"
    text: str = "text"
    split: str = "split"
    id: str = "image_id"
    group: str = "group"
    attribution: str = "attribution"

    @property
    def texts(self) -> list[str]:
        """Names of the caption columns."""
        return [name.strip() for name in self.text.split(",")]

    def check(self, row: Row, file: str, row_number: int, needs_image: bool = True) -> None:
        """Raises DataError if the first row of a file lacks a column that must exist."""
        renamed = {field.name for field in fields(self) if getattr(self, field.name) != field.default}
        required = {"text": self.texts, **{name: [getattr(self, name)] for name in renamed - {"text"}}}
        if needs_image:
            required["image"] = [self.image]
        missing = [(option, name) for option, names in required.items() for name in names if name not in row]
        if missing:
            option, name = missing[0]
            what = f"no column {name!r} for {option}; there are {', '.join(map(repr, row)) or 'none'}"
            fix = f"Name the column with {option}=COLUMN."
            for word, sign in DELIMITERS.items():
                if len(row) == 1 and sign in next(iter(row)):
                    fix = f"The columns are separated by {word}: build with delimiter={word}."
            raise DataError(Problem(file, row_number, what, fix))


def records_of(
    rows: Iterable[tuple[int, Row]],
    path: Path,
    columns: Columns,
    problems: Problems,
    embedded: bool = False,
) -> Iterator[Record]:
    """One record per valid row; invalid rows are added to `problems`.

    Args:
        rows: (row number, row by column) pairs of the file `path`.
        embedded: rows may contain the images themselves; else images must be paths.

    Raises:
        DataError: a column that must exist is absent.
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
            what = f"column {columns.image!r} holds images, not paths"
            problems.add("images", place.problem(what, "Build with the source huggingface."))
        if len(problems) == before:
            yield Record(place, texts, file, data, **words)
    if first:
        problems.add(f"rows {path}", Problem(str(path), None, "no rows", "Write rows, or remove the file."))


def texts_of(value: Any, name: str, place: SourceLocation, problems: Problems) -> list[str]:
    """The captions in a value: a text, a list of texts, or the `raw` of objects; [""] if it holds none.

    texts_of('["a dog", "a cat"]', ...) -> ["a dog", "a cat"]: CSV has no lists, so a value may be JSON, or a
    list as Python and numpy print it, which pandas writes: "['a dog', 'a cat']" and "['a dog' 'a cat']".

    Args:
        value: of a column or JSON key.
        name: of the column or key, for errors.
        place: of the row, for errors.
        problems: receives a value of another type, which gives [].
    """
    if value is None:
        return [""]
    if isinstance(value, str):
        if value.startswith("[") and value.rstrip().endswith("]"):
            try:
                inner = json.loads(value)
                if isinstance(inner, list) and inner and all(isinstance(element, str) for element in inner):
                    return [element.encode(errors="replace").decode() for element in inner]
            except (ValueError, RecursionError):
                pass  # a caption in brackets, not JSON
            if _QUOTED_LIST.fullmatch(value.rstrip()):
                return _printed_texts(value)
        return [value]
    if isinstance(value, dict):
        captions = [value[key] for key in ("raw", "text", "caption") if isinstance(value.get(key), str)]
        if captions:
            return captions[:1]
    if isinstance(value, list):
        if not value:
            return [""]
        if all(element is None or isinstance(element, str | dict) for element in value):
            return [text for element in value for text in texts_of(element, name, place, problems)]
    what = f"{name!r} is {type(value).__name__}, expected a text or a list of texts"
    problems.add(f"kind {name}", place.problem(what, _FIX))
    return []


def _printed_texts(value: str) -> list[str]:
    """The texts of a list of texts as Python prints it; the whole as one text where one of them is no Python."""
    try:
        texts = [str(ast.literal_eval(quoted)) for quoted in _QUOTED_TEXT.findall(value)]
    except (ValueError, SyntaxError):
        return [value]
    return [text.encode(errors="replace").decode() for text in texts]


def word_of(value: Any, name: str, place: SourceLocation, problems: Problems) -> str:
    """A text or whole number as text; "" for None, and for another type after adding a problem."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    what = f"{name!r} is {type(value).__name__}, expected a text or a whole number"
    problems.add(f"kind {name}", place.problem(what, _FIX))
    return ""


def _image(value: Any, name: str, place: SourceLocation, problems: Problems) -> tuple[str, bytes | None]:
    """(path, bytes) of an image: a path, bytes, or an object with both as the datasets library writes it."""
    if value is None:
        return "", None
    if isinstance(value, str):
        return value.strip(), None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value), None  # butd_tsv: the number of an image whose features are elsewhere
    if isinstance(value, bytes):
        return "", value
    if isinstance(value, dict):
        path, content = value.get("path"), value.get("bytes")
        if (path is None or isinstance(path, str)) and (content is None or isinstance(content, bytes)):
            return path or "", content
    what = f"{name!r} is {type(value).__name__}, expected an image: a path, bytes, or {{bytes, path}}"
    problems.add(f"kind {name}", place.problem(what, _FIX))
    return "", None
