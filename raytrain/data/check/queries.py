"""Check of a table's composed queries: they refer to rows that exist, in their own split and gallery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.data.table.queries import lists
from raytrain.errors import Problem

_FIX = "Build the table again."


def check_queries(table: Table, problems: Problems) -> None:
    """Adds the problems of a table's composed queries, each with its row of queries.arrow.

    Queries must refer to items and texts that exist; reference, targets and subset must be in the query's gallery; no
    reference is its own target; a split has targets for all queries or for none; ids are unique.
    """
    queries = table.queries
    if queries is None:
        return
    file = str(table.path / "queries.arrow")

    def add(kind: str, rows: np.ndarray, what: str) -> None:
        for row in np.unique(rows).tolist():
            problems.add(f"query {kind}", Problem(file, row, what, _FIX))

    split = queries["split"].to_numpy().astype(str)
    ids = queries["id"].to_pylist()
    first = {identity: row for row, identity in reversed(list(enumerate(ids)))}
    add("id", np.array([row for row, identity in enumerate(ids) if first[identity] != row], int), "id appears twice")
    item_split = table.items["split"].to_numpy().astype(str)
    group = table.items["group"].to_numpy().astype(str)
    reference = queries["reference"].to_numpy().astype(np.int64)
    ends = {"reference": (reference, np.arange(len(queries)))}
    for name in ("targets", "subset"):
        values, offsets = lists(queries[name])
        ends[name] = (values, np.repeat(np.arange(len(queries)), np.diff(offsets)))
    valid_reference = (reference >= 0) & (reference < len(table.items))
    for name, (values, owner) in ends.items():
        valid = (values >= 0) & (values < len(table.items))
        add(f"{name} range", owner[~valid], f"{name} points outside the {len(table.items)} items")
        values, owner = values[valid], owner[valid]
        add(f"{name} split", owner[item_split[values] != split[owner]], f"{name} in another split than the query")
        if table.gallery == "group":
            both = valid_reference[owner]
            apart = group[values[both]] != group[reference[owner[both]]]
            add(f"{name} group", owner[both][apart], f"{name} in another part of the gallery than the reference")
        if name == "targets":
            add("self", owner[values == reference[owner]], "the reference is its own target")
            _all_or_none(split, np.bincount(owner, minlength=len(queries)) > 0, add)
    text, phrasings = (queries[name].to_numpy().astype(np.int64) for name in ("text", "phrasings"))
    valid = (text >= 0) & (phrasings >= 1) & (text + phrasings <= len(table.texts))
    add("text range", np.flatnonzero(~valid), f"text points outside the {len(table.texts)} texts")
    owner_of_text = table.texts["item"].to_numpy()
    rows = np.flatnonzero(valid)
    for edge in (text, text + phrasings - 1):
        add("text item", rows[owner_of_text[edge[rows]] != reference[rows]], "the text belongs to another reference")


def _all_or_none(split: np.ndarray, answered: np.ndarray, add: Callable[[str, np.ndarray, str], None]) -> None:
    """Adds the queries without a target in splits where others have one; `split` and `answered` are (Q)."""
    for name in np.unique(split).tolist():
        in_split = split == name
        if answered[in_split].any():
            add("targets", np.flatnonzero(in_split & ~answered), f"no target, though other queries of {name} have one")
