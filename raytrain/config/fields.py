"""The fields of a run by their dotted names: which exist, where their types are, and which a wrong name may mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from raytrain.config.methods import METHOD_CONFIGS
from raytrain.config.parts import ImageConfig, Part, TextConfig
from raytrain.errors import did_you_mean

KINDS: dict[str, Mapping[str, type[Part]]] = {
    "method": METHOD_CONFIGS,
    **{
        place: {part.model_fields["kind"].default: part for part in get_args(get_args(union)[0])}
        for place, union in (("encoder.image", ImageConfig), ("encoder.text", TextConfig))
    },
}
"""The parts that come in kinds, by their place: {kind: the part}."""


def kinds_in(values: Mapping[str, Any]) -> dict[str, str]:
    """{"method": "dvse", "encoder.text": "tokens", ...}: the kinds that the plain values of a run name."""
    kinds = {}
    for place in KINDS:
        here: Any = values
        for key in (*place.split("."), "kind"):
            here = here.get(key) if isinstance(here, Mapping) else None
        if isinstance(here, str):
            kinds[place] = here
    return kinds


def part_at(root: type[BaseModel], place: Sequence[str], kinds: Mapping[str, str]) -> type[BaseModel] | None:
    """The part of a run at a place of its tree; None where there is none.

    Args:
        root: RunConfig.
        place: its name, split at the dots; empty for the root.
        kinds: the kind of each part that comes in kinds, by its place.
    """
    part: type[BaseModel] | None = root
    for depth, key in enumerate(place, 1):
        if part is None or key not in part.model_fields:
            return None
        parts = _parts(".".join(place[:depth]), part.model_fields[key].annotation, kinds)
        part = parts[0] if parts else None
    return part


def leaves(root: type[BaseModel], kinds: Mapping[str, str] | None = None, place: str = "") -> list[str]:
    """The dotted name of every single value of a run, in the order of its fields.

    Args:
        root: RunConfig.
        kinds: as of `part_at`; None takes the fields of all kinds.
    """
    names: dict[str, None] = {}
    for key, field in root.model_fields.items():
        name = f"{place}.{key}" if place else key
        if name in KINDS or _is_part(field.annotation):
            for part in _parts(name, field.annotation, kinds):
                names |= dict.fromkeys(leaves(part, kinds, name))
        else:
            names[name] = None
    return list(names)


def _parts(name: str, annotation: Any, kinds: Mapping[str, str] | None) -> list[type[BaseModel]]:
    """The parts that a field of a run may hold; empty where it holds a single value."""
    if name in KINDS:
        return [part for kind, part in KINDS[name].items() if kinds is None or kinds.get(name) == kind]
    return [annotation] if _is_part(annotation) else []


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def similar_leaves(word: str, names: Iterable[str]) -> list[str]:
    """At most three of the dotted names whose last part is `word`, or else is close to it."""
    by_leaf: dict[str, list[str]] = {}
    for name in names:
        by_leaf.setdefault(name.rpartition(".")[2], []).append(name)
    close = [word] if word in by_leaf else difflib.get_close_matches(word, by_leaf, n=1)
    return [name for leaf in close for name in by_leaf[leaf]][:3]


def no_such_field(place: str, name: str, fields: Iterable[str], names: Iterable[str]) -> str:
    """The message on a field that does not exist.

    Args:
        place: where it was looked for, "optim"; "" for the whole run.
        name: the field.
        fields: names that exist at the place.
        names: dotted names of the whole run, for a field that exists elsewhere.
    """
    fields, names = list(fields), list(names)
    if not fields:
        return f"{place} is a single value; it has no field '{name}'."
    hint, elsewhere = did_you_mean(name, fields), similar_leaves(name, names)
    exact = bool(elsewhere) and elsewhere[0].rpartition(".")[2] == name
    # a name that is merely close is looked for at its own place, and everywhere only where it names no place
    if exact or (elsewhere and hint == "." and not place):
        hint = f"; did you mean {' or '.join(elsewhere)}?"
    return f"{place or 'RunConfig'} has no field '{name}'{hint} Fields: {', '.join(fields)}."
