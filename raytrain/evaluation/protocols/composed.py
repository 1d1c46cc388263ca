"""Composed retrieval: each query ranks its own part of the gallery, and several items may answer it.

The reference of a query is no candidate. Ties count as everywhere (raytrain/evaluation/ranking/counts.py).
Letters: Q queries, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.protocols import Result
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.measures import PerQueryMeasures
from raytrain.evaluation.ranking.recall import COMPOSED_KS, mean_rank, median_rank, recall_at

BLOCK_ELEMENTS = 2_000_000  # scores of a block: enough for a product of matrices, few enough for the cache

Blocks = Callable[[Tensor, Tensor | None], Iterator[tuple[Tensor, Tensor]]]
"""(queries, gallery or None for all of it) by position -> (some of the queries, their (q, G) scores), one block after
the other. The scores are the caller's to write into."""


@dataclass(frozen=True)
class ComposedQueries:
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


def scored_blocks(
    blocks: Blocks, asked: ComposedQueries, rows: Tensor, columns: Tensor, reference: bool = False
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Some queries against a part of the gallery: (q,) of them, (q, G) scores, (q, P) positions of their targets in it.

    Args:
        rows: (Q',) the queries.
        columns: (G,) items of the gallery, all references among them.
        reference: whether a query's reference is a candidate; otherwise its score is -inf, and it is no target.
    """
    if not len(rows):
        return
    at = torch.full_like(asked.part, -1)
    at[columns] = torch.arange(len(columns))
    for chunk, scores in blocks(rows, columns if len(columns) < len(at) else None):
        targets = asked.targets[chunk]
        known = targets >= 0
        if not reference:
            scores[torch.arange(len(chunk)), at[asked.reference[chunk]]] = -torch.inf
            known &= targets != asked.reference[chunk, None]
        yield chunk, scores, torch.where(known, at[targets.clamp(min=0)], -1)


@dataclass(frozen=True)
class Answers:
    """What stands around the targets of each query of a split.

    Args:
        counts: of the queries, each among the items of its own part of the gallery but its reference.
        r_precision: (Q,) float64 in [0, 1], NaN for a query without a target.
        average_precision: (Q,) likewise, at R.
    """

    counts: Counts
    r_precision: Tensor
    average_precision: Tensor

    def metrics(self) -> dict[str, float]:
        """{"recall_at_1", "recall_at_10", "recall_at_50", "rsum", "map_at_r", "r_precision", "median_rank", ...}.

        Recalls ask for any target among the first k; for R-precision and mAP@R see `measures.precision_at_r`. All in
        percent but ranks, which are 1-based; a query without a target is left out. "pessimistic_rsum" loses every tie.

        Raises:
            ValueError: no query has a target.
        """
        best, worst = self.counts.ranks(), self.counts.ranks("pessimistic")
        metrics = {f"recall_at_{k}": recall_at(best, k) for k in COMPOSED_KS}
        answered = best >= 0
        return metrics | {
            "rsum": sum(metrics.values()),
            "pessimistic_rsum": sum(recall_at(worst, k) for k in COMPOSED_KS),
            "r_precision": 100 * float(self.r_precision[answered].mean()),
            "map_at_r": 100 * float(self.average_precision[answered].mean()),
            "median_rank": median_rank(best),
            "mean_rank": mean_rank(best),
            "tied_percent": 100 * float((self.counts.tied[answered] > 0).double().mean()),
        }


def answers(blocks: Blocks, asked: ComposedQueries) -> Answers:
    """Every query against the items of its part of the gallery but its reference, one block after the other.

    Raises:
        ValueError: NaN among the scores.
    """
    found = PerQueryMeasures()
    order = []
    mine = asked.part[asked.reference]
    for part in range(len(asked.parts)):
        rows, columns = (mine == part).nonzero()[:, 0], (asked.part == part).nonzero()[:, 0]
        order.append(rows)
        for _, scores, targets in scored_blocks(blocks, asked, rows, columns):
            found.add(scores, targets)
    back = torch.cat(order).argsort()
    counts = Counts(*(torch.cat(column)[back] for column in zip(*found.counts, strict=True)))
    precision, average = (torch.cat(column)[back] for column in zip(*found.precisions, strict=True))
    return Answers(counts, precision, average)


def is_whole(protocol: str) -> bool:
    """Whether a protocol takes all composed queries of a split as they are."""
    return protocol == "composed/multi" or protocol.startswith("split/")


def no_such(protocol: str) -> UsageError:
    """The error that shows the protocols there are."""
    return UsageError(
        f"no protocol '{protocol}' for composed queries. Protocols: split/NAME, composed/multi, fashioniq/original "
        "and fashioniq/val_union (with -kept or -masked, -one or -both), cirr/val, partial/ before these three."
    )


def evaluate_composed(blocks: Blocks, asked: ComposedQueries, protocol: str) -> Result:
    """The metrics of a split's composed queries.

    Args:
        blocks: scores of the queries.
        asked: the queries; those of one reference are no independent ones in a bootstrap.
        protocol: "split/NAME", or "composed/multi", which is the same under the name that says what it does.

    Raises:
        UsageError: another protocol.
    """
    if not is_whole(protocol):
        raise no_such(protocol)
    found = answers(blocks, asked)
    ranks = found.counts.ranks()
    answered = ranks >= 0
    targets = ((asked.targets >= 0) & (asked.targets != asked.reference[:, None])).sum(1)
    notes = [
        "a query's reference is not in its gallery",
        f"{float(targets[answered].double().mean()):.1f} targets a query",
    ]
    if lost := int((~answered).sum()):
        notes.append(f"{lost} queries have no target here and are left out")
    gallery = {"query": int(torch.bincount(asked.part)[asked.part[asked.reference]].max()) - 1}
    groups = {"reference": asked.reference}
    queries = {"query": int(answered.sum())}
    return Result(protocol, found.metrics(), queries, gallery, notes, None, {"query": ranks}, groups)
