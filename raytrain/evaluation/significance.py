"""Bootstrap intervals and permutation tests: how far a recall could move with another sample of queries.

The queries of a test set are a sample, and the five captions of an image are not independent: whole images are drawn
with replacement (a cluster bootstrap). Two systems are compared on the same draws (paired). Composed queries with the
same reference are drawn together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raytrain.evaluation.ranking.recall import COMPOSED_KS, KS

Floats = NDArray[np.float64]
Ranks = Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Difference:
    """System a minus system b on the same queries, in percentage points.

    Attributes:
        mean: the difference on the actual queries.
        low, high: bounds of the interval.
        significant: whether the interval excludes zero.
    """

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        return self.low > 0 or self.high < 0


def bootstrap_interval(
    hits: ArrayLike, groups: ArrayLike | None = None, level: float = 0.95, samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) in percent: percentile interval of the mean of `hits`.

    Args:
        hits: (Q,) bool, or float in [0, 1] where several seeds were averaged.
        groups: (Q,) cluster (image) of each query; None makes every query a cluster.
        level: share of draws inside the interval, in (0, 1).
        samples: number of bootstrap draws.
        seed: of the draws.

    Raises:
        ValueError: shapes that do not fit, or a level outside (0, 1).
    """
    return _interval(_draw_percent(*_by_group(hits, groups), samples, seed), level)


def paired_difference(
    hits_a: ArrayLike,
    hits_b: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> Difference:
    """The mean of a minus b on the same queries, with its interval; arguments as in `bootstrap_interval`.

    Raises:
        ValueError: different numbers of queries.
    """
    a, b = np.asarray(hits_a, float), np.asarray(hits_b, float)
    if a.shape != b.shape:
        raise ValueError(f"hits_a has shape {a.shape} and hits_b {b.shape}; compare the same queries")
    return Difference(100 * float((a - b).mean()), *bootstrap_interval(a - b, groups, level, samples, seed))


def recall_intervals(
    ranks: Ranks | Sequence[Ranks], level: float = 0.95, samples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """{"i2t/recall_at_1": (low, high), ..., "rsum": (low, high)}; both directions use the same drawn images.

    Args:
        ranks: 0-based, -1 without a positive; a sequence of them, one per seed, is averaged. Either {"i2t": (N,),
            "t2i": (M,), "item_of_text": (M,) position of the image that each text belongs to}, or {"query": (Q,),
            "reference": (Q,)} of composed queries, whose metrics are "recall_at_1", ..., "rsum".
        level, samples, seed: as in `bootstrap_interval`.
    """
    draws = _draw_recalls(_mean_hits(ranks), _first_run(ranks), samples, seed)
    draws["rsum"] = np.sum(list(draws.values()), axis=0)
    return {name: _interval(values, level) for name, values in draws.items()}


def mean_intervals(
    values: Mapping[str, ArrayLike],
    groups: Mapping[str, ArrayLike],
    means: Mapping[str, Sequence[str]],
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """{name: (low, high)} in percent, of metrics that are means over queries and of unweighted means of such metrics.

    Metrics whose queries have the same clusters share their draws, so that a mean of metrics averages them per draw.

    Args:
        values: {name: (Q,) in [0, 1], NaN where the query does not count}; a name with nothing but NaN is left out.
        groups: {name: (Q,) cluster of each of its queries}.
        means: {further name: names that it is the unweighted mean of}.
        level, samples, seed: as in `bootstrap_interval`.
    """
    draws: dict[str, Floats] = {}
    together: dict[bytes, list[str]] = {}
    labels: dict[str, NDArray[np.int64]] = {}
    for name in values:
        if not np.isnan(np.asarray(values[name], float)).all():
            clusters, labels[name] = np.unique(np.asarray(groups[name]), return_inverse=True)
            together.setdefault(clusters.tobytes(), []).append(name)
    for names in together.values():
        number = int(max(labels[name].max() for name in names)) + 1
        parts = [_by_group(values[name], labels[name], number) for name in names]
        sums, counts = (np.stack(columns, axis=1) for columns in zip(*parts, strict=True))
        drawn = _draw_percent(sums, counts, samples, seed)
        draws |= {name: drawn[:, column] for column, name in enumerate(names)}
    for name, parts_of_mean in means.items():
        if all(part in draws for part in parts_of_mean):
            draws[name] = np.mean([draws[part] for part in parts_of_mean], axis=0)
    return {name: _interval(drawn, level) for name, drawn in draws.items()}


def paired_recall_differences(
    ranks_a: Ranks | Sequence[Ranks],
    ranks_b: Ranks | Sequence[Ranks],
    level: float = 0.95,
    samples: int = 1000,
    seed: int = 0,
) -> dict[str, Difference]:
    """{"i2t/recall_at_1": a minus b, ..., "rsum": ...} over the same draws; arguments as `recall_intervals`."""
    draws, means = [], []
    for ranks in (ranks_a, ranks_b):
        hits = _mean_hits(ranks)
        draws.append(_draw_recalls(hits, _first_run(ranks), samples, seed))
        means.append({name: 100 * float(values[~np.isnan(values)].mean()) for name, values in hits.items()})
    differences = {}
    for name in [*draws[0], "rsum"]:
        names = list(draws[0]) if name == "rsum" else [name]
        change = np.sum([draws[0][n] - draws[1][n] for n in names], axis=0)
        differences[name] = Difference(sum(means[0][n] - means[1][n] for n in names), *_interval(change, level))
    return differences


def permutation_p(
    ranks_a: Ranks | Sequence[Ranks], ranks_b: Ranks | Sequence[Ranks], samples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """{"i2t/recall_at_1": p, ..., "rsum": p} of the paired permutation test, two-sided; ranks as `recall_intervals`.

    Under the null hypothesis the two systems may be swapped in each cluster (all queries of an image, in both
    directions at once): p is the share of swaps whose difference is at least as large as the observed one. All swaps
    are enumerated where there are at most `samples` of them; otherwise that many are drawn, and the observed difference
    counts as one more, so that p is never 0 (Phipson and Smyth, 2010).

    Raises:
        ValueError: different numbers of queries.
    """
    hits_a, hits_b = _mean_hits(ranks_a), _mean_hits(ranks_b)
    groups, clusters = _clusters(_first_run(ranks_a))
    parts = {}
    for name, values in hits_a.items():
        if values.shape != hits_b[name].shape:
            raise ValueError(f"{name}: {len(values)} and {len(hits_b[name])} queries; compare the same queries")
        sums, counts = _by_group(values - hits_b[name], groups[name], clusters)
        parts[name] = 100 * sums / counts.sum()
    parts["rsum"] = np.sum(list(parts.values()), axis=0)
    share = _swapped_share(np.stack(list(parts.values()), 1), samples, seed)
    return dict(zip(parts, share.tolist(), strict=True))


def _swapped_share(parts: Floats, samples: int, seed: int) -> Floats:
    """(metrics,) share of sign flips of the rows of (clusters, metrics) whose sum is at least as far from zero."""
    clusters = len(parts)
    observed = np.abs(parts.sum(0)) * (1 - 1e-9)  # equal sums in another order differ in their last digits
    exhaustive = clusters < 60 and 2**clusters <= samples
    number = 2**clusters if exhaustive else samples
    generator, reached = np.random.default_rng(seed), np.zeros(parts.shape[1])
    step = max(1, 4_000_000 // clusters)
    for first in range(0, number, step):
        size = min(step, number - first)
        if exhaustive:
            signs = 1.0 - 2 * ((np.arange(first, first + size)[:, None] >> np.arange(clusters)) & 1)
        else:
            signs = 1.0 - 2 * generator.integers(0, 2, (size, clusters), dtype=np.int8)
        reached += (np.abs(signs @ parts) >= observed).sum(0)
    share: Floats = reached / number if exhaustive else (1 + reached) / (1 + number)
    return share


def holm(p: ArrayLike) -> Floats:
    """(n,) p-values -> (n,) adjusted p-values, which bound the family-wise error rate (Holm, 1979).

    The i-th smallest of n is multiplied by n - i + 1; adjusted values do not decrease in that order and are at most 1.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted


def _first_run(ranks: Ranks | Sequence[Ranks]) -> Ranks:
    return ranks if isinstance(ranks, Mapping) else ranks[0]


def _mean_hits(ranks: Ranks | Sequence[Ranks]) -> dict[str, Floats]:
    """{"i2t/recall_at_1": (N,), ...}: share of the runs that rank a positive in the first k; NaN without a positive."""
    runs = [ranks] if isinstance(ranks, Mapping) else list(ranks)
    hits: dict[str, Floats] = {}
    for kind, prefix, ks in (("i2t", "i2t/", KS), ("t2i", "t2i/", KS), ("query", "", COMPOSED_KS)):
        if kind not in runs[0]:
            continue
        stacked = np.stack([np.asarray(run[kind]) for run in runs])
        for k in ks:
            share = ((stacked >= 0) & (stacked < k)).mean(0)
            hits[f"{prefix}recall_at_{k}"] = np.where((stacked < 0).any(0), np.nan, share)
    return hits


def _draw_recalls(hits: Mapping[str, Floats], ranks: Ranks, samples: int, seed: int) -> dict[str, Floats]:
    """{name: (samples,) percent}; the same seed and number of clusters give every metric the same draws."""
    groups, clusters = _clusters(ranks)
    return {
        name: _draw_percent(*_by_group(values, groups[name], clusters), samples, seed) for name, values in hits.items()
    }


def _clusters(ranks: Ranks) -> tuple[dict[str, NDArray[np.int64]], int]:
    """({metric: (Q,) cluster of each query}, number of clusters); a cluster is an image, or a reference."""
    if "query" in ranks:
        labels = np.unique(np.asarray(ranks["reference"]), return_inverse=True)[1]
        return {f"recall_at_{k}": labels for k in COMPOSED_KS}, int(labels.max(initial=-1)) + 1
    owner = np.asarray(ranks["item_of_text"], dtype=np.int64)
    images = np.arange(len(np.asarray(ranks["i2t"])))
    by_metric = {f"{side}/recall_at_{k}": labels for side, labels in (("i2t", images), ("t2i", owner)) for k in KS}
    return by_metric, len(images)


def _by_group(hits: ArrayLike, groups: ArrayLike | None, number: int = 0) -> tuple[Floats, Floats]:
    """(C,) sum of hits and (C,) number of queries per cluster; queries that are NaN are left out."""
    values = np.asarray(hits, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"hits has shape {values.shape}; give (Q,) with at least one query")
    if groups is None:
        labels = np.arange(len(values))
    elif number:
        labels = np.asarray(groups, dtype=np.int64)
    else:
        labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    if labels.shape != values.shape:
        raise ValueError(f"groups has shape {labels.shape}; give one for each of {len(values)} queries")
    kept = ~np.isnan(values)
    sums = np.bincount(labels[kept], weights=values[kept], minlength=number)
    counts = np.bincount(labels[kept], minlength=number)
    return sums.astype(np.float64), counts.astype(np.float64)


def _draw_percent(sums: Floats, counts: Floats, samples: int, seed: int) -> Floats:
    """(samples, ...) percent, from (C, ...) sums and counts: each draw takes C clusters with replacement."""
    drawn = np.empty((samples, *sums.shape[1:]))
    step = max(1, 4_000_000 // len(sums))  # about 30 MB of multiplicities as float64 at a time
    multiplicities = _multiplicities(len(sums), samples, seed)
    for first in range(0, samples, step):
        times = multiplicities[first : first + step].astype(float)
        drawn[first : first + step] = 100 * (times @ sums) / np.maximum(times @ counts, 1)
    return drawn


@functools.lru_cache(maxsize=2)  # metrics, systems and rows of a table share their draws
def _multiplicities(clusters: int, samples: int, seed: int) -> NDArray[np.int16]:
    """(samples, C) number of times that each draw takes each cluster."""
    generator = np.random.default_rng(seed)
    times = np.empty((samples, clusters), np.int16)
    for draw in times:
        draw[:] = generator.multinomial(clusters, np.full(clusters, 1 / clusters))
    return times


def _interval(draws: Floats, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give the share of draws inside, for example 0.95")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
