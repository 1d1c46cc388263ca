"""Changes of a run by dotted names: from Python values, and from the a.b=value of a command line.

A text is read as the type of the field that it is for, and never as YAML: `name=2026-11-27` and `experiment=001` are
texts, `seed=010` is 10, and "none" is None only where a field may be None.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

from raytrain.config.fields import KINDS, kinds_in, leaves, no_such_field, part_at
from raytrain.config.run import RunConfig, validate
from raytrain.errors import UsageError, did_you_mean

_NONE_WORDS = ("none", "null", "~")


def override(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A copy of `config` with dotted names changed: {"optim.lr": 1e-4, "method.views": 4}.

    A change of a `kind` (method, encoder.image, encoder.text) starts that part afresh and keeps the fields both have,
    but for a choice that the new kind does not know.

    Raises:
        UsageError: a name that does not exist, or a value out of bounds.
    """
    values = config.model_dump()
    # kinds first: they decide which names exist beside them
    for name, value in sorted(changes.items(), key=lambda change: (not change[0].endswith(".kind"), change[0])):
        *path, last = name.split(".")
        here: Any = values
        for depth, key in enumerate(path):
            if not isinstance(here, dict) or key not in here:
                raise UsageError(_no_such_field(values, ".".join(path[:depth]), key, here))
            here = here[key]
        if not isinstance(here, dict) or last not in here:
            raise UsageError(_no_such_field(values, ".".join(path), last, here))
        if isinstance(here[last], dict) and not isinstance(value, Mapping | BaseModel):
            raise UsageError(_no_single_value(name, value, here[last]))
        if last == "kind" and value != here["kind"]:
            _switch_kind(here, name, value)
        else:
            here[last] = value
    return validate(values)


def parse_overrides(config: RunConfig, arguments: Sequence[str]) -> dict[str, Any]:
    """Changes of `config` for `override`: ["optim.lr=1e-4", "name=001"] -> {"optim.lr": 1e-4, "name": "001"}.

    A text that is no value of its field's type, or whose field does not exist, stays a text: `override` names all of
    those at once.
    """
    texts = split_overrides(arguments)
    kinds = kinds_in(config.model_dump())
    kinds |= {name.removesuffix(".kind"): text for name, text in texts.items() if name.endswith(".kind")}
    changes: dict[str, Any] = {}
    for name, text in texts.items():
        *path, last = name.split(".")
        part = part_at(type(config), path, kinds)
        changes[name] = text
        if part is not None and last in part.model_fields:
            with contextlib.suppress(ValueError):
                changes[name] = from_text(text, part.model_fields[last].annotation)
    return changes


def split_overrides(arguments: Sequence[str], example: str = "optim.lr=1e-4") -> dict[str, str]:
    """["optim.lr=1e-4"] -> {"optim.lr": "1e-4"}; of a name given twice the last counts."""
    texts: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            before = f"'{last}={texts[last]} {argument}'" if (last := next(reversed(texts), "")) else ""
            quotes = f"; a value with blanks needs quotes: {before}" if before else ""
            raise UsageError(f"'{argument}' is no override; write name=value, for example {example}{quotes}")
        texts[name] = text
    return texts


def from_text(text: str, annotation: Any) -> Any:
    """The value of a field's type that a text of a command line stands for.

    Texts stand for themselves. Whole numbers may be written 010 and 1e3, booleans true, yes, on or 1 and their
    opposites, sequences [5,8] or 5,8, mappings as JSON. "none" and "null" are None where the type has it.

    Raises:
        ValueError: it stands for no value of that type.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return from_text(text, arguments[0])
    if origin in (Union, types.UnionType):
        return _from_text_to_one_of(text, arguments)
    if origin is Literal:
        # a choice may be a number or None
        return next((choice for choice in arguments if str(choice) == text), text)
    if origin in (list, tuple, set, frozenset):
        return TypeAdapter(annotation).validate_python(_items(text, origin, arguments))
    if origin is dict:
        return TypeAdapter(annotation).validate_json(text)
    if annotation is int:
        with contextlib.suppress(ValueError, OverflowError):
            return int(text) if text.strip().lstrip("+-").isdecimal() else int(_whole(float(text)))
    return TypeAdapter(annotation).validate_strings(text)


def _from_text_to_one_of(text: str, members: Sequence[Any]) -> Any:
    if type(None) in members and text.lower() in _NONE_WORDS:
        return None
    # last of all a text, which anything could be
    for member in sorted(members, key=lambda member: member is str):
        with contextlib.suppress(ValueError):
            return from_text(text, member)
    raise ValueError(f"no value of {members}: {text!r}")


def _items(text: str, origin: Any, arguments: Sequence[Any]) -> list[Any]:
    """The items of "[5,8]", "(5, 8)" or "5,8", each of its type."""
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("[]", "()"):
        inner = inner[1:-1]
    words = [word.strip() for word in inner.split(",")]
    if not words[-1]:  # of "5," and of ""
        words.pop()
    types_ = list(arguments)
    if origin is not tuple or types_[-1:] == [...]:
        types_ = types_[:1] * len(words)
    elif len(types_) != len(words):
        raise ValueError(f"{len(types_)} values are needed; given: {text!r}")
    return [from_text(word, type_) for word, type_ in zip(words, types_, strict=True)]


def _whole(number: float) -> float:
    if not number.is_integer():
        raise ValueError(f"no whole number: {number}")
    return number


def _switch_kind(here: dict[str, Any], name: str, kind: Any) -> None:
    choices = KINDS[name.removesuffix(".kind")]
    if kind not in choices:
        hint = did_you_mean(str(kind), choices)
        raise UsageError(f"{name} has no choice {kind!r}{hint} Choices: {', '.join(choices)}.")
    fields = choices[kind].model_fields
    kept = {
        key: value
        for key, value in here.items()
        if key in fields and key not in ("kind", "lr_scale") and _is_choice(value, fields[key].annotation)
    }
    here.clear()
    # a required field is None until it is set: then its name exists, and leaving it out is an error
    here.update({key: None if field.is_required() else field.default for key, field in fields.items()})
    here.update(kept | {"kind": kind})


def _is_choice(value: Any, annotation: Any) -> bool:
    """Whether a value is among a field's choices; True of a field that is none of names."""
    return get_origin(annotation) is not Literal or value in get_args(annotation)


def _no_such_field(values: Mapping[str, Any], place: str, name: str, here: Any) -> str:
    return no_such_field(place, name, here if isinstance(here, dict) else (), leaves(RunConfig, kinds_in(values)))


def _no_single_value(name: str, value: Any, fields: Mapping[str, Any]) -> str:
    """On `optim=3` and `method=dvse`: a group of settings that was given one value."""
    if name not in KINDS:
        return f"{name} is a group of settings; set one of them: {', '.join(f'{name}.{field}' for field in fields)}."
    recipes = (
        f", or take a recipe of that method ({value}_...; `raytrain recipes` lists them)" if name == "method" else ""
    )
    kinds = KINDS[name]
    if value not in kinds:
        return f"{name} has no kind {value!r}{did_you_mean(str(value), kinds)} Kinds: {', '.join(kinds)}."
    return f"{name} is a group of settings; to change the {name} write {name}.kind={value}{recipes}."
