"""The settings that tell a row from the others of its method, and from the row that it is compared with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Config = Mapping[str, Any]
"""Flat, by dotted names."""


def settings_in_words(
    configs: Sequence[Config], methods: Sequence[str], compared_with: Sequence[int], left_out: Collection[str]
) -> list[str]:
    """Of each row of a table its settings: "margin=0.2, lr=0.001".

    A row names the fields in which the rows of its method differ, and those in which it differs from the row that it is
    compared with; that one names the fields in which any of the rows compared with it differ. A field that only one of
    two methods has tells nothing but the method, and is left out between these.

    Args:
        configs: of the rows.
        methods: of the rows.
        compared_with: place of the row that each is compared with, its own where it is the first.
        left_out: fields that have a column of their own or are no settings.
    """
    names: list[set[str]] = [set() for _ in configs]
    for method in set(methods):
        rows = [place for place, name in enumerate(methods) if name == method]
        differing = {
            field for place in rows for field in configs[place] if len({_value(configs[p], field) for p in rows}) > 1
        }
        for place in rows:
            names[place] |= differing
    for place, first in enumerate(compared_with):
        both = configs[place].keys() & configs[first].keys()
        differing = {field for field in both if _value(configs[place], field) != _value(configs[first], field)}
        names[place] |= differing
        names[first] |= differing
    short = _short_names({field for config in configs for field in config})
    return [
        ", ".join(
            f"{short[field]}={_in_words(config[field])}"
            for field in config
            if field in wanted and field not in left_out
        )
        for config, wanted in zip(configs, names, strict=True)
    ]


def _value(config: Config, field: str) -> str:
    return json.dumps(config.get(field))


def _short_names(fields: Collection[str]) -> dict[str, str]:
    """{field: the shortest end of its name that no other field has}: "lr", but "text.lr_scale" and "image.lr_scale"."""
    short = {}
    for field in fields:
        parts = field.split(".")
        ends = [".".join(parts[place:]) for place in reversed(range(len(parts)))]
        short[field] = next((end for end in ends if sum(f == end or f.endswith(f".{end}") for f in fields) == 1), field)
    return short


def _in_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
