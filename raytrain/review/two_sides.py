"""Two runs, or two groups of seeds, compared on the same queries: metrics, single queries, and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raytrain.config import changes_nothing
from raytrain.evaluation.significance import paired_recall_differences
from raytrain.review.board import Coverage
from raytrain.review.charts.curves import NOT_SETTINGS
from raytrain.review.comparison import coverage_of

Ranks = Mapping[str, NDArray[Any]]
"""Of one run, as `read_ranks` gives them."""
LEVEL = 0.95
NOISE = "one training run on a side: training noise is not covered, and other seeds may decide otherwise"


@dataclass(frozen=True)
class Difference:
    """A metric of two sides.

    Args:
        a, b: means over the runs of each side, in percent.
        difference: a minus b, in percent points.
        interval: bounds of the difference at LEVEL, for this metric by itself.
        p: of the test that there is no difference.
    """

    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float

    @property
    def is_shown(self) -> bool:
        """Whether chance does not explain the difference."""
        return self.p < 1 - LEVEL

    def as_dict(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "difference": self.difference, "interval": list(self.interval), "p": self.p}


@dataclass(frozen=True)
class Changes:
    """How the two sides rank the queries of one direction.

    Args:
        factor: (Q,) log of B's rank over A's, ranks from 1 on, its mean over seeds: positive where A ranks the right
            answer higher, NaN for a query without one.
    """

    factor: NDArray[np.float64]

    @property
    def counts(self) -> dict[str, int]:
        """{"a_better", "b_better", "equal"}: queries."""
        return {
            "a_better": int((self.factor > 0).sum()),
            "b_better": int((self.factor < 0).sum()),
            "equal": int((self.factor == 0).sum()),
        }


@dataclass(frozen=True)
class TwoSides:
    """A comparison.

    Args:
        metrics: {"rsum", "i2t/recall_at_1", ...: the difference}, rsum first.
        changes: {direction: how single queries are ranked}.
        settings: {dotted name: (of A, of B)} in which the sides differ.
        coverage: what the intervals cover.
    """

    metrics: Mapping[str, Difference]
    changes: Mapping[str, Changes]
    settings: Mapping[str, tuple[Any, Any]]
    coverage: Coverage

    @property
    def not_covered(self) -> str:
        """What the intervals leave out, in words; "" where nothing."""
        parts = [NOISE] if not self.coverage.seeds else []
        parts += ["the items of the gallery are not covered"] if self.coverage.gallery is False else []
        return "; ".join(parts)

    def verdict(self, a: str, b: str) -> str:
        """What leads by how much and how sure, in a sentence.

        Args:
            a, b: names of the sides.
        """
        rsum = self.metrics["rsum"]
        low, high = rsum.interval
        size = f"{abs(rsum.difference):.1f} points of rsum"
        sure = f"({LEVEL:.0%} interval of A - B {signed(low)} to {signed(high)}, {p_text(rsum.p)})".replace("%", " %")
        if not rsum.is_shown:
            return f"No difference is shown between {a} and {b}: {size} {sure}"
        leads, other = (a, b) if rsum.difference > 0 else (b, a)
        return f"{leads} leads {other} by {size} {sure}"


def compare_sides(
    a: Sequence[Ranks], b: Sequence[Ranks], configs: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> TwoSides:
    """The comparison of two sides.

    Args:
        a, b: ranks of each run of a side, of the same queries.
        configs: a flat config of each side.
    """
    estimates = paired_recall_differences(a, b)
    names = ["rsum", *(name for name in estimates if name != "rsum")]
    values = [{name: _recall(side, name) for name in estimates if name != "rsum"} for side in (a, b)]
    for of_side in values:
        of_side["rsum"] = sum(of_side.values())
    metrics = {
        name: Difference(values[0][name], values[1][name], estimates[name].value, estimates[name].interval(LEVEL),
                         estimates[name].p)
        for name in names
    }  # fmt: skip
    changes = {kind: Changes(_log_rank(b, kind) - _log_rank(a, kind)) for kind in _kinds(a[0])}
    return TwoSides(metrics, changes, differing_settings(*configs), coverage_of(a, b))


def differing_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{dotted name: (of a, of b)}; a field that only one of two methods has tells nothing but the method."""
    names = [name for name in a if name in b and name not in NOT_SETTINGS and not changes_nothing(name)]
    return {name: (a[name], b[name]) for name in names if a[name] != b[name]}


def signed(points: float) -> str:
    """ "+1.2"; zero has no minus."""
    return f"{round(points, 1) + 0.0:+.1f}"


def p_text(p: float) -> str:
    """ "p = 0.03", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _kinds(ranks: Ranks) -> list[str]:
    return [kind for kind in ("t2i", "i2t", "query") if kind in ranks]


def _recall(runs: Sequence[Ranks], name: str) -> float:
    """Mean over runs of "t2i/recall_at_5", or of "recall_at_5" of composed queries, in percent."""
    prefix, _, recall = name.rpartition("/")
    ranks = [np.asarray(run[prefix or "query"]) for run in runs]
    return float(np.mean([100 * np.mean(of_run[of_run >= 0] < int(recall.rpartition("_")[2])) for of_run in ranks]))


def _log_rank(runs: Sequence[Ranks], kind: str) -> NDArray[np.float64]:
    """(Q,) mean over runs of the log of the rank from 1 on; NaN without a right answer."""
    ranks = np.stack([np.asarray(run[kind]) for run in runs]).astype(float)
    return np.asarray(np.log(np.where(ranks < 0, np.nan, ranks + 1)).mean(0))
