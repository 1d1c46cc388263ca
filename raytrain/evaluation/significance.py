"""Intervals of metrics and tests of differences, over training seeds and images (or queries and gallery items).

The queries of a test set are a sample, and the five captions of an image are not independent: whole images are the
clusters. Runs of a row are a sample of what training gives. Two rows are compared on the same images (paired). Composed
queries are clustered by their reference and by their target, and the items they are ranked against are drawn too.
raytrain/evaluation/variance.py has the statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raytrain.evaluation.ranking.recall import COMPOSED_KS, KS
from raytrain.evaluation.variance import Estimate, Floats, covariance_of_blocks, estimate

Ranks = Mapping[str, ArrayLike]
"""What an evaluation keeps of one run. Ranks are 0-based, -1 without a positive: either {"i2t": (N,), "t2i": (M,),
"item_of_text": (M,) position of the image that each text belongs to}, or {"query": (Q,), "reference": (Q,)} of composed
queries, with "target": (Q,) and "gallery/recall_at_k": (draws, B) where the gallery was drawn too."""
GALLERY = "gallery/"
"""Before the name of a metric: what it was under draws of the gallery."""


@dataclass(frozen=True)
class Parts:
    """A metric of a row in percent, and what moves it.

    Args:
        value: mean over the runs.
        cells: (S, C) what each cell of queries adds to the metric of each run, beyond a constant.
        ways: labels of the cells, as in `variance.estimate`.
        gallery: (draws, B) of blocks of queries under draws of the gallery; None where none were kept.
        top: the most that the metric can be.
    """

    value: float
    cells: Floats
    ways: Sequence[NDArray[np.int64]] = ()
    gallery: Floats | None = None
    top: float = 100.0

    def estimate(self) -> Estimate:
        variance = covariance_of_blocks(self.gallery) if self.gallery is not None else 0.0
        return estimate(self.value, [self.cells], self.ways, variance)

    def interval(self, level: float) -> tuple[float, float]:
        return self.estimate().share_interval(level, self.top)


def recall_intervals(ranks: Ranks | Sequence[Ranks], level: float = 0.95) -> dict[str, tuple[float, float]]:
    """{"i2t/recall_at_1": (low, high), ..., "rsum": (low, high)} in percent, of each metric by itself.

    With several runs intervals cover images and training seeds; with one they hold for that trained model.

    Args:
        ranks: of one run, or of the runs of a row, one per seed.
        level: share of such intervals that contain the true value, in (0, 1).

    Raises:
        ValueError: runs of different queries, no query, or a level outside (0, 1).
    """
    return {name: parts.interval(level) for name, parts in _recalls(ranks).items()}


def mean_intervals(
    values: Mapping[str, ArrayLike],
    groups: Mapping[str, ArrayLike],
    means: Mapping[str, Sequence[str]],
    level: float = 0.95,
    gallery: Mapping[str, ArrayLike] | None = None,
) -> dict[str, tuple[float, float]]:
    """{name: (low, high)} in percent, of one run's means over queries and of unweighted means of such metrics.

    Args:
        values: {name: (Q,) in [0, 1], NaN where the query does not count}; a name with nothing but NaN is left out.
        groups: {name: (Q,) or (Q, 2) cluster of each of its queries}; equal numbers are the same cluster.
        means: {further name: names that it is the unweighted mean of}.
        level: as in `recall_intervals`.
        gallery: {name: (draws, B)} of the metrics that the gallery moves.
    """
    parts = _parts(
        {name: np.asarray(of, float)[None] for name, of in values.items()},
        {name: np.asarray(of) for name, of in groups.items()},
        {name: np.asarray(of, float) for name, of in (gallery or {}).items()},
    )
    for name, members in means.items():
        if all(member in parts for member in members):
            parts[name] = _weighted_sum([parts[member] for member in members], 1 / len(members))
    return {name: of.interval(level) for name, of in parts.items()}


def paired_recall_differences(
    a: Ranks | Sequence[Ranks], b: Ranks | Sequence[Ranks], *, same_runs: bool = False
) -> dict[str, Estimate]:
    """{"i2t/recall_at_1": a minus b, ..., "rsum": ...} in percentage points on the same queries.

    The error is of images and of the seeds of each side that has several. Arguments as in `recall_intervals`.

    Args:
        same_runs: both sides are the same trained runs in the same order, ranked in two ways, so that seeds are paired.

    Raises:
        ValueError: different numbers of queries, or of runs that are to be paired.
    """
    runs_a, runs_b = _runs(a), _runs(b)
    alike = _common([*runs_a, *runs_b])
    of_a, of_b = _recalls(alike[: len(runs_a)]), _recalls(alike[len(runs_a) :])
    differences = {}
    for name, parts in of_a.items():
        other = of_b[name]
        if parts.cells.shape[1] != other.cells.shape[1]:
            raise ValueError(f"{name}: other clusters of queries on the two sides; compare the same queries")
        gallery = 0.0
        if parts.gallery is not None and other.gallery is not None:
            gallery = covariance_of_blocks(parts.gallery - other.gallery)
        change = parts.value - other.value
        if same_runs and parts.cells.shape != other.cells.shape:
            raise ValueError(f"{name}: {len(parts.cells)} and {len(other.cells)} runs cannot be paired")
        sides = [parts.cells - other.cells] if same_runs else [parts.cells, -other.cells]
        differences[name] = estimate(change, sides, parts.ways, gallery)
    return differences


def has_gallery_draws(ranks: Ranks | Sequence[Ranks]) -> bool:
    """Whether intervals of these ranks cover the items of the gallery."""
    return all(any(name.startswith(GALLERY) for name in run) for run in _runs(ranks))


def simultaneous(estimates: Sequence[Estimate], level: float = 0.95) -> list[tuple[tuple[float, float], float]]:
    """((low, high), p) of each of n differences, corrected alike for all n (Bonferroni).

    All n intervals contain their true differences at once in at least `level` of such tables, and an interval leaves
    out zero exactly where its p is below 1 - level.
    """
    number = max(1, len(estimates))
    corrected = 1 - (1 - level) / number
    return [(difference.interval(corrected), min(1.0, number * difference.p)) for difference in estimates]


def _runs(ranks: Ranks | Sequence[Ranks]) -> list[Ranks]:
    return [ranks] if isinstance(ranks, Mapping) else list(ranks)


def _common(runs: Sequence[Ranks]) -> list[Ranks]:
    """The runs with what all of them kept: those of earlier versions lack targets and draws of the gallery."""
    names = set(runs[0]).intersection(*runs)
    return [{name: values for name, values in run.items() if name in names} for run in runs]


def _recalls(ranks: Ranks | Sequence[Ranks]) -> dict[str, Parts]:
    """The parts of every recall and of rsum."""
    runs = _common(_runs(ranks))
    if "query" in runs[0]:
        ks, names = COMPOSED_KS, {"query": ""}
        ways = [np.asarray(runs[0][name]) for name in ("reference", "target") if name in runs[0]]
        groups = {"query": np.stack(ways, axis=1)}
    else:
        ks, names = KS, {"i2t": "i2t/", "t2i": "t2i/"}
        images = np.arange(len(np.asarray(runs[0]["i2t"])))
        groups = {"i2t": images, "t2i": np.asarray(runs[0]["item_of_text"], np.int64)}
    hits, group_of = dict[str, Floats](), dict[str, NDArray[np.int64]]()
    for kind, prefix in names.items():
        of_runs = [np.asarray(run[kind]) for run in runs]
        if {of_run.shape for of_run in of_runs} != {(len(groups[kind]),)}:
            raise ValueError(f"{kind}: runs have other numbers of queries; compare the same queries")
        stacked = np.stack(of_runs)
        for k in ks:
            hits[f"{prefix}recall_at_{k}"] = np.where((stacked < 0).any(0), np.nan, stacked < k)
            group_of[f"{prefix}recall_at_{k}"] = groups[kind]
    draws = {name: np.mean([np.asarray(run[GALLERY + name], float) for run in runs], axis=0)
             for name in hits if GALLERY + name in runs[0]}  # fmt: skip
    parts = _parts(hits, group_of, draws)
    if len(parts) < len(hits):
        raise ValueError(f"{', '.join(hits.keys() - parts.keys())}: no query has a positive")
    return parts | {"rsum": replace(_weighted_sum(list(parts.values()), 1.0), top=100.0 * len(parts))}


def _parts(
    hits: Mapping[str, Floats], groups: Mapping[str, NDArray[np.int64]], draws: Mapping[str, Floats]
) -> dict[str, Parts]:
    """{name: parts}, all over the same cells; a name without a query that counts is left out.

    Args:
        hits: {name: (S, Q) in [0, 1], NaN where a query does not count}.
        groups: {name: (Q,) or (Q, ways)}.
        draws: {name: (draws, B)} of some of the names.
    """
    counted = {name: np.flatnonzero(~np.isnan(of).any(0)) for name, of in hits.items()}
    counted = {name: queries for name, queries in counted.items() if len(queries)}
    if not counted:
        return {}
    labels = [groups[name].reshape(len(groups[name]), -1)[queries] for name, queries in counted.items()]
    cell, ways = _cells(np.concatenate(labels))
    number = int(cell.max()) + 1
    cell_of = np.split(cell, np.cumsum([len(of) for of in labels])[:-1])
    parts = {}
    for (name, queries), cells in zip(counted.items(), cell_of, strict=True):
        counts = np.bincount(cells, minlength=number)
        sums = np.stack([np.bincount(cells, run, number) for run in hits[name][:, queries]])
        mean = float(sums.sum() / len(sums) / counts.sum())
        parts[name] = Parts(100 * mean, 100 * (sums - mean * counts) / counts.sum(), ways, draws.get(name))
    return parts


def _cells(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """(Q, ways) labels -> (Q,) cell of each query, and of the cells the labels in each way; one way needs none."""
    columns = [np.unique(column, return_inverse=True)[1] for column in labels.T]
    if len(columns) == 1:
        return columns[0], []
    rows, columns_of_cells = columns[0], int(columns[1].max()) + 1
    keys, cell = np.unique(rows * columns_of_cells + columns[1], return_inverse=True)
    return cell, [keys // columns_of_cells, keys % columns_of_cells]


def _weighted_sum(parts: Sequence[Parts], weight: float) -> Parts:
    """Of metrics over the same cells; a metric without draws of the gallery does not depend on it."""
    draws = [of.gallery for of in parts if of.gallery is not None]
    return Parts(
        weight * sum(of.value for of in parts),
        weight * np.sum([of.cells for of in parts], axis=0),
        parts[0].ways,
        weight * np.sum(draws, axis=0) if draws else None,
    )
