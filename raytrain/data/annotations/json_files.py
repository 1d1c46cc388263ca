"""JSON annotation files: safe reading, and checks of their entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.text_files import encoding_of
from raytrain.data.paths import refuse_pickle
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem
from raytrain.files import read_regular

_FIX = "Correct the entry."


def read_json(path: Path, kind: type | tuple[type, ...], fix: str) -> Any:
    """The non-empty list or dict in a JSON file.

    Args:
        path: of the file.
        kind: list or dict, or both.
        fix: what the user should do about a file that is not like that.

    Raises:
        DataError: the file is missing, a pickle, not UTF-8, not JSON, empty or of another kind.
    """
    refuse_pickle(path)
    try:
        text = read_regular(path).decode(encoding_of(path))
        value = json.loads(text)
        if "\\ud" in text.lower():  # an escaped half of a surrogate pair cannot be encoded later
            json.dumps(value, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", fix)) from None
    except json.JSONDecodeError as error:
        raise DataError(Problem(str(path), error.lineno, f"not JSON: {error.msg}", fix)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", fix)) from None
    if not isinstance(value, kind) or not value:
        names = " or ".join(name.__name__ for name in (kind if isinstance(kind, tuple) else (kind,)))
        what = f"holds {'nothing' if not value else type(value).__name__}, expected a {names} with entries"
        raise DataError(Problem(str(path), None, what, fix))
    return value


def text_of(entry: Any, key: str, place: SourceLocation, problems: Problems) -> str:
    """The non-empty string under `key`, blanks collapsed; "" after adding a problem."""
    value = entry.get(key) if isinstance(entry, Mapping) else None
    text = caption_of(value) if isinstance(value, str) else ""
    if not text:
        what = f"no text under {key!r}" if isinstance(entry, Mapping) else "entry is not an object"
        problems.add(key, place.problem(what, _FIX))
    return text


def strings_of(entry: Mapping[str, Any], key: str, place: SourceLocation, problems: Problems) -> list[str]:
    """The non-empty list of strings under `key`; [] after adding a problem."""
    value = entry.get(key)
    if isinstance(value, list) and value and all(isinstance(element, str) for element in value):
        return value
    problems.add(key, place.problem(f"no list of strings under {key!r}", _FIX))
    return []
