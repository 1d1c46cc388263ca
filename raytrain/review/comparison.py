"""Rows of a table against the first of them: the difference of rsum, and whether the choice of queries explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from raytrain.evaluation.report import read_ranks
from raytrain.evaluation.significance import holm, paired_recall_differences, permutation_p
from raytrain.review.board import Comparison, Row, Split


def kept_ranks(evaluations: Sequence[Mapping[str, Any] | None]) -> list[dict[str, np.ndarray]] | None:
    """The ranks that each run of a row kept; None where a run's are missing or are of other queries."""
    ranks = [read_ranks(evaluation) if evaluation else None for evaluation in evaluations]
    present = [of_run for of_run in ranks if of_run is not None]
    if len(present) < len(ranks) or not all(_same_queries(present[0], of_run) for of_run in present):
        return None
    return present or None


def _same_queries(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[name], b[name]) for name in ("item_of_text", "reference") if name in a
    )


def compare_with_first(rows: Sequence[Row]) -> list[Comparison | None]:
    """How far each row's rsum is from the first row's: on test where both were evaluated there, else on validation.

    The first row was chosen on validation, so differences there flatter it.

    Args:
        rows: re-ranked alike, best first, with their ranks.

    Returns:
        One per row: None for the first, and where ranks are missing.
    """
    splits: tuple[Split, ...] = ("test", "val")
    differences: dict[int, Comparison] = {}  # by place among the rows, p not yet corrected
    for place, row in enumerate(rows[1:], start=1):
        for split in splits:
            mine, best = row.ranks[split], rows[0].ranks[split]
            if mine and best and _same_queries(mine[0], best[0]):
                change = paired_recall_differences(mine, best)["rsum"]
                p = permutation_p(mine, best)["rsum"]
                differences[place] = Comparison(rows[0].rank, split, change.mean, change.low, change.high, p)
                break
    corrected = holm([difference.p for difference in differences.values()]).tolist()
    for (place, difference), p in zip(list(differences.items()), corrected, strict=True):
        differences[place] = replace(difference, p=p)
    return [differences.get(place) for place in range(len(rows))]
