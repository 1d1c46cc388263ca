"""Composed retrieval: each query ranks its own part of the gallery, and several items may answer it.

The reference of a query is no candidate. Ties count as everywhere (raytrain/evaluation/ranking.py).
Letters: Q queries, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.protocols import Result
from raytrain.evaluation.ranking import best_first, ranks
from raytrain.evaluation.recall import COMPOSED_KS, mean_rank, median_rank, recall_at

CHUNK_ELEMENTS = 4_000_000
BLOCK_ELEMENTS = 2_000_000  # scores of a block: enough for a product of matrices, few enough for the cache

Blocks = Callable[[Tensor, Tensor | None], Iterator[tuple[Tensor, Tensor]]]
"""(queries, gallery or None for all of it) by position -> (some of the queries, their (q, G) scores), one block after
the other. The scores are the caller's to write into."""


@dataclass(frozen=True)
class Asked:
    """The composed queries of a split, by position in its gallery.

    Args:
        reference: (Q,) of each query.
        targets: (Q, P) items that answer it, -1 where there are fewer.
        subset: (Q, P) members of its subset, likewise.
        part: (N,) which part of the gallery each item stands in, an index of `parts`.
        parts: their names.
        query_ids, item_ids: as annotated.
    """

    reference: Tensor
    targets: Tensor
    subset: Tensor
    part: Tensor
    parts: Sequence[str]
    query_ids: Sequence[str]
    item_ids: Sequence[str]


def block_rows(columns: int) -> int:
    """How many queries a block has."""
    return max(1, BLOCK_ELEMENTS // max(1, columns))


def composed_metrics(
    similarity: Tensor, relevant: Tensor, candidates: Tensor, best: Tensor | None = None
) -> dict[str, float]:
    """{"recall_at_1", "recall_at_10", "recall_at_50", "rsum", "map_at_r", "r_precision", "median_rank", ...}.

    Recalls ask for any target among the first k. With R targets of a query among its candidates, R-precision is the
    share of targets among the first R, and AP@R the mean over r <= R of the precision at r where item r is a target,
    zero elsewhere (Musgrave et al., ECCV 2020, section 3.1). All in percent but ranks, which are 1-based; a query
    without a target among its candidates is left out. "pessimistic_rsum" loses every tie.

    Args:
        similarity: (Q, N) scores, larger is closer.
        relevant: (Q, N) bool, items that answer the query.
        candidates: (Q, N) bool, items that the query is ranked against.
        best: (Q,) ranks of `query_ranks`, where they are known already.

    Raises:
        ValueError: shapes that differ, NaN, or no query with a target.
    """
    relevant = relevant & candidates
    if best is None:
        best = query_ranks(similarity, relevant, candidates)
    worst = query_ranks(similarity, relevant, candidates, "pessimistic")
    metrics = {f"recall_at_{k}": recall_at(best, k) for k in COMPOSED_KS}
    metrics["rsum"] = sum(metrics.values())
    metrics["pessimistic_rsum"] = sum(recall_at(worst, k) for k in COMPOSED_KS)
    precision, average = r_precision(similarity, relevant, candidates)
    answered = best >= 0
    return metrics | {
        "r_precision": 100 * float(precision[answered].mean()),
        "map_at_r": 100 * float(average[answered].mean()),
        "median_rank": median_rank(best),
        "mean_rank": mean_rank(best),
        "tied_percent": 100 * float((best != worst)[answered].double().mean()),
    }


def query_ranks(similarity: Tensor, relevant: Tensor, candidates: Tensor, ties: str = "ordered") -> Tensor:
    """(Q,) int64 0-based rank of each query's best target among its candidates; -1 for a query that has none."""
    parts = [
        ranks(_among(scores, allowed), positive & allowed, ties)  # type: ignore[arg-type]
        for scores, positive, allowed in _chunks(similarity, relevant, candidates)
    ]
    return torch.cat(parts)


def r_precision(similarity: Tensor, relevant: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """(Q,) R-precision and (Q,) average precision at R, in [0, 1], float64; NaN for a query without a target."""
    precision, average = [], []
    for scores, positive, allowed in _chunks(similarity, relevant, candidates):
        positive = positive & allowed
        targets = positive.sum(1, keepdim=True)
        most = int(targets.max())
        order = best_first(_among(scores, allowed), max(most, 1))
        place = torch.arange(1, order.shape[1] + 1, device=scores.device)
        hits = (positive.gather(1, order) & (place <= targets)).double()
        precision.append(hits.sum(1) / targets[:, 0])
        average.append((hits * hits.cumsum(1) / place).sum(1) / targets[:, 0])
    return torch.cat(precision), torch.cat(average)


def is_whole(protocol: str) -> bool:
    """Whether a protocol takes all composed queries of a split as they are."""
    return protocol == "composed/multi" or protocol.startswith("split/")


def no_such(protocol: str) -> UsageError:
    """The error that shows the protocols there are."""
    return UsageError(
        f"no protocol '{protocol}' for composed queries. Protocols: split/NAME, composed/multi, fashioniq/original "
        "and fashioniq/val_union (with -kept or -masked, -one or -both), cirr/val, partial/ before these three."
    )


def evaluate_composed(
    similarity: Tensor, relevant: Tensor, candidates: Tensor, reference: Tensor, protocol: str
) -> Result:
    """The metrics of a split's composed queries.

    Args:
        similarity, relevant, candidates: as in `composed_metrics`.
        reference: (Q,) which reference each query has: queries of one are no independent ones in a bootstrap.
        protocol: "split/NAME", or "composed/multi", which is the same under the name that says what it does.

    Raises:
        UsageError: another protocol.
    """
    if not is_whole(protocol):
        raise no_such(protocol)
    best = query_ranks(similarity, relevant, candidates)
    metrics = composed_metrics(similarity, relevant, candidates, best)
    answered = int((best >= 0).sum())
    targets = (relevant & candidates).sum(1)
    notes = [
        "a query's reference is not in its gallery",
        f"{float(targets[best >= 0].double().mean()):.1f} targets a query",
    ]
    if answered < len(best):
        notes.append(f"{len(best) - answered} queries have no target here and are left out")
    gallery = {"query": int(candidates.sum(1).max())}
    groups = {"reference": reference}
    return Result(protocol, metrics, {"query": answered}, gallery, notes, None, {"query": best}, groups)


def _among(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores.masked_fill(~allowed, -torch.inf)


def _chunks(*matrices: Tensor) -> list[tuple[Tensor, ...]]:
    """Rows of all of them together, some at a time."""
    rows = max(1, CHUNK_ELEMENTS // max(1, matrices[0].shape[1]))
    return list(zip(*(torch.split(matrix, rows) for matrix in matrices), strict=True))
