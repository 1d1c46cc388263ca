"""Rows of a table against the first of them: the difference of rsum, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raytrain.evaluation.report import read_ranks
from raytrain.evaluation.significance import (
    has_gallery_draws,
    paired_recall_differences,
    recall_intervals,
    simultaneous,
)
from raytrain.evaluation.variance import Estimate
from raytrain.review.board import Comparison, Coverage, Interval, Row, Split


def kept_ranks(evaluations: Sequence[Mapping[str, Any] | None]) -> list[dict[str, np.ndarray]] | None:
    """The ranks that each run of a row kept; None where a run's are missing or are of other queries."""
    ranks = [read_ranks(evaluation) if evaluation else None for evaluation in evaluations]
    present = [of_run for of_run in ranks if of_run is not None]
    if len(present) < len(ranks) or not all(same_queries(present[0], of_run) for of_run in present):
        return None
    return present or None


def same_queries(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """Whether ranks are of the same kind and the same queries; targets were not always kept."""
    names = ("item_of_text", "reference")
    same = [np.array_equal(a[name], b[name]) for name in (*names, "target") if name in a and name in b]
    return all((name in a) == (name in b) for name in names) and all(same)


def interval_of(split: Split, ranks: Sequence[Mapping[str, np.ndarray]] | None) -> Interval | None:
    """The interval of a row's rsum by itself; None without ranks."""
    return Interval(split, *recall_intervals(ranks)["rsum"], coverage_of(ranks)) if ranks else None


def coverage_of(*rows: Sequence[Mapping[str, np.ndarray]]) -> Coverage:
    """What is covered where all of some rows, each given by the ranks of its runs, take part."""
    composed = "query" in rows[0][0]
    gallery = all(has_gallery_draws(ranks) for ranks in rows) if composed else None
    return Coverage(all(len(ranks) > 1 for ranks in rows), gallery)


def compare_with_first(rows: Sequence[Row]) -> list[Comparison | None]:
    """How far each row's rsum is from the first row's: on test where both were evaluated there, else on validation.

    The first row was chosen on validation, so differences there flatter it. Bounds and p are corrected over the rows
    compared, and cover training seeds where both rows have several.

    Args:
        rows: re-ranked alike, best first, with their ranks.

    Returns:
        One per row: None for the first, and where ranks are missing.
    """
    splits: tuple[Split, ...] = ("test", "val")
    compared: dict[int, tuple[Split, Coverage, Estimate]] = {}  # by place among the rows
    for place, row in enumerate(rows[1:], start=1):
        for split in splits:
            mine, best = row.ranks[split], rows[0].ranks[split]
            if mine and best and same_queries(mine[0], best[0]):
                compared[place] = split, coverage_of(mine, best), paired_recall_differences(mine, best)["rsum"]
                break
    corrected = simultaneous([difference for _, _, difference in compared.values()])
    comparisons = {
        place: Comparison(rows[0].rank, split, difference.value, *bounds, p, coverage)
        for (place, (split, coverage, difference)), (bounds, p) in zip(compared.items(), corrected, strict=True)
    }
    return [comparisons.get(place) for place in range(len(rows))]
