"""Rows of a table beside the first of them: how far apart, and whether that could be chance of the queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytrain.evaluation.report import read_ranks
from raytrain.evaluation.significance import holm, paired_recall_differences, permutation_p


def kept_ranks(evaluations: Sequence[Mapping[str, Any] | None]) -> list[dict[str, np.ndarray]] | None:
    """The ranks that every run of a row kept; None where one is lost or was of other queries."""
    found = [read_ranks(one) if one else None for one in evaluations]
    ranks = [one for one in found if one is not None]
    if len(ranks) < len(found) or not all(_same_queries(ranks[0], one) for one in ranks):
        return None
    return ranks or None


def _same_queries(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[name], b[name]) for name in ("item_of_text", "reference") if name in a
    )


def against_first(rows: Sequence[dict[str, Any]]) -> None:
    """Write into each row how far its rsum is from the first row's: on test where both were opened there, else on val.

    first: rank of that row; first_split; first_difference with first_low and first_high, in points (95 %, paired
    bootstrap); first_p of the paired permutation test, by Holm's correction over these rows. None throughout for the
    first row, and where ranks are missing. The first was chosen on validation: differences there flatter it.
    """
    told = ("first", "first_split", "first_difference", "first_low", "first_high", "first_p")
    uncorrected: dict[int, float] = {}  # by place among the rows
    for place, row in enumerate(rows):
        row |= dict.fromkeys(told)
        for split in ("test", "val") if place else ():
            mine, best = row["ranks"][split], rows[0]["ranks"][split]
            if mine and best and _same_queries(mine[0], best[0]):
                change = paired_recall_differences(mine, best)["rsum"]
                uncorrected[place] = permutation_p(mine, best)["rsum"]
                values = (rows[0]["rank"], split, change.mean, change.low, change.high)
                row |= dict(zip(told, values, strict=False))
                break
    for place, p in zip(uncorrected, holm(list(uncorrected.values())).tolist(), strict=True):
        rows[place]["first_p"] = p
