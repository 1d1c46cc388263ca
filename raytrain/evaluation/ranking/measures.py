"""Measures per query and the metrics that average them: recall, R-precision and mAP@R with many positives.

A measure is a number in [0, 1] per query, NaN where the query does not count. Its metric is 100 times the mean over the
queries that count. Metrics that average other metrics (over categories, over directions) are named in `means`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts, best_first, positive_counts


@dataclass(frozen=True)
class Measures:
    """Measures by the name of their metric.

    Args:
        values: {name: (Q,) float64}; names may have different queries, such as those of different directions.
        groups: {name: (Q,) cluster of each query, or (Q, 2) its clusters in two ways}, of the same names.
        means: {name of a further metric: names of the metrics that it is the unweighted mean of}.
    """

    values: Mapping[str, Tensor]
    groups: Mapping[str, Tensor]
    means: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """{name: percent}; leaves out a metric without a query that counts, and every mean over such a metric."""
        metrics = {
            name: 100 * float(values[~values.isnan()].mean())
            for name, values in self.values.items()
            if not bool(values.isnan().all())
        }
        for name, parts in self.means.items():
            if all(part in metrics for part in parts):
                metrics[name] = sum(metrics[part] for part in parts) / len(parts)
        return metrics


def hits(ranks: Tensor, k: int) -> Tensor:
    """(Q,) float64: 1 where the rank is among the first k, 0 where it is not, NaN where it is -1."""
    return (ranks < k).double().masked_fill(ranks < 0, torch.nan)


def precision_at_r(similarity: Tensor, positives: Tensor, number: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(Q,) R-precision and (Q,) average precision at R, float64 in [0, 1]; NaN for a query without a positive.

    With R positives, R-precision is their share of the first R places, and AP@R the mean over r = 1 .. R of the
    precision at r where place r holds a positive, zero elsewhere (Musgrave et al., ECCV 2020, section 3.1).

    Args:
        similarity: (Q, G) scores without NaN, for a few rows at a time.
        positives: (Q, P) int64 positions, -1 where a query has fewer.
        number: (Q,) R of each query, where positives outside the gallery count; None counts the listed ones.
    """
    listed = positives >= 0
    number = listed.sum(1) if number is None else number
    items = similarity.shape[1]
    first = best_first(similarity, min(items, max(1, int(number.max()))))
    # one more column receives the padding
    relevant = torch.zeros(len(similarity), items + 1, dtype=torch.bool, device=similarity.device)
    relevant.scatter_(1, torch.where(listed, positives, items), True)
    relevant[:, items] = False
    place = torch.arange(1, first.shape[1] + 1, device=similarity.device)
    hit = (relevant.gather(1, first) & (place <= number[:, None])).double()
    return hit.sum(1) / number, (hit * hit.cumsum(1) / place).sum(1) / number


@dataclass
class PerQueryMeasures:
    """Collects counts, and optionally precisions, of the queries of one direction, block by block.

    Args:
        precision: whether to measure R-precision and mAP@R.
        counts, precisions: of the blocks added so far.
    """

    precision: bool = True
    counts: list[Counts] = field(default_factory=list)
    precisions: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def add(self, similarity: Tensor, positives: Tensor, number: Tensor | None = None) -> None:
        """Add a block of queries: (q, G) scores, (q, P) positions of positives, (q,) R unless it is their number."""
        self.counts.append(positive_counts(similarity, positives))
        if self.precision:
            self.precisions.append(precision_at_r(similarity, positives, number))

    def ranks(self) -> Tensor:
        """(Q,) int64 ranks, in the order in which queries were added."""
        return torch.cat([part.ranks() for part in self.counts])

    def measures(self, ks: Sequence[int]) -> dict[str, Tensor]:
        """{"recall_at_1", ..., "r_precision", "map_at_r", "tied_percent": (Q,) in [0, 1]}."""
        ranks = self.ranks()
        measures = {f"recall_at_{k}": hits(ranks, k) for k in ks}
        if self.precision:
            measures["r_precision"] = torch.cat([precision for precision, _ in self.precisions])
            measures["map_at_r"] = torch.cat([average for _, average in self.precisions])
        tied = torch.cat([part.tied for part in self.counts])
        measures["tied_percent"] = (tied > 0).double().masked_fill(tied < 0, torch.nan)
        return measures
