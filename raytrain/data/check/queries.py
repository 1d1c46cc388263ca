"""Whether the composed queries of a table point at rows that exist, in their own split and gallery."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.data.table.queries import lists
from raytrain.errors import Problem

_AGAIN = "Build the table again."


def check_queries(table: Table, problems: Problems) -> None:
    """Adds what is wrong with the queries of a table, each with its row of queries.arrow.

    Rows point at items and texts that exist; reference, targets and subset stand in the query's gallery; a query is not
    answered by its own reference; a split has targets for all queries or for none; ids are unique.
    """
    queries = table.queries
    if queries is None:
        return
    file = str(table.path / "queries.arrow")

    def add(kind: str, rows: np.ndarray, what: str) -> None:
        for row in np.unique(rows).tolist():
            problems.add(f"query {kind}", Problem(file, row, what, _AGAIN))

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
    known = (reference >= 0) & (reference < len(table.items))
    for name, (values, owner) in ends.items():
        there = (values >= 0) & (values < len(table.items))
        add(f"{name} range", owner[~there], f"{name} points outside the {len(table.items)} items")
        values, owner = values[there], owner[there]
        add(f"{name} split", owner[item_split[values] != split[owner]], f"{name} in another split than the query")
        if table.gallery == "group":
            both = known[owner]
            apart = group[values[both]] != group[reference[owner[both]]]
            add(f"{name} group", owner[both][apart], f"{name} in another part of the gallery than the reference")
        if name == "targets":
            add("self", owner[values == reference[owner]], "the reference is its own target")
            _all_or_none(split, np.bincount(owner, minlength=len(queries)) > 0, add)
    text, phrasings = (queries[name].to_numpy().astype(np.int64) for name in ("text", "phrasings"))
    there = (text >= 0) & (phrasings >= 1) & (text + phrasings <= len(table.texts))
    add("text range", np.flatnonzero(~there), f"text points outside the {len(table.texts)} texts")
    owner_of_text = table.texts["item"].to_numpy()
    rows = np.flatnonzero(there)
    for edge in (text, text + phrasings - 1):
        add("text item", rows[owner_of_text[edge[rows]] != reference[rows]], "the text belongs to another reference")


def _all_or_none(split: np.ndarray, answered: np.ndarray, add: Callable[[str, np.ndarray, str], None]) -> None:
    for name in np.unique(split).tolist():
        here = split == name
        if answered[here].any():
            add("targets", np.flatnonzero(here & ~answered), f"no target, though other queries of {name} have some")
