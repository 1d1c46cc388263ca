"""Composed retrieval: each query ranks its own part of the gallery, and several items may be its targets.

The reference of a query is not in its gallery. Ties count as everywhere (raytrain/evaluation/ranking/counts.py).
Letters: Q queries, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.gallery_draws import GalleryDraws, item_counts
from raytrain.evaluation.protocols.protocols import Result
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.measures import PerQueryMeasures
from raytrain.evaluation.ranking.recall import COMPOSED_KS, mean_rank, median_rank, recall_at

BLOCK_ELEMENTS = 2_000_000  # scores per block: enough for an efficient matrix product, few enough for the cache

Blocks = Callable[[Tensor, Tensor | None], Iterator[tuple[Tensor, Tensor]]]
"""(positions of queries, positions of gallery items or None for all) -> blocks of (positions of q queries, (q, G)
scores). The caller may write into the scores."""


@dataclass(frozen=True)
class ComposedQueries:
    """The composed queries of a split, by position in its gallery.

    Args:
        reference: (Q,) reference item of each query.
        targets: (Q, P) items that answer each query, -1 where it has fewer.
        subset: (Q, P) members of each query's subset, -1 where it has fewer.
        part: (N,) part of the gallery that each item belongs to, an index of `parts`.
        parts: names of the parts.
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
    """Number of queries per block of scores with so many columns."""
    return max(1, BLOCK_ELEMENTS // max(1, columns))


def scored_blocks(
    blocks: Blocks, queries: ComposedQueries, rows: Tensor, columns: Tensor, reference: bool = False
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Blocks of queries against a part of the gallery: (q,) queries, (q, G) scores, (q, P) columns of their targets.

    Args:
        blocks: scores of the queries.
        queries: all queries of the split.
        rows: (Q',) the queries to take.
        columns: (G,) items of the gallery, all references among them.
        reference: whether a query's reference stays in its gallery; otherwise it scores -inf and is no target.
    """
    if not len(rows):
        return
    column_of = torch.full_like(queries.part, -1)
    column_of[columns] = torch.arange(len(columns))
    for chunk, scores in blocks(rows, columns if len(columns) < len(column_of) else None):
        targets = queries.targets[chunk]
        valid = targets >= 0
        if not reference:
            scores[torch.arange(len(chunk)), column_of[queries.reference[chunk]]] = -torch.inf
            valid &= targets != queries.reference[chunk, None]
        yield chunk, scores, torch.where(valid, column_of[targets.clamp(min=0)], -1)


@dataclass(frozen=True)
class Answers:
    """How well each composed query of a split ranks its targets.

    Args:
        counts: items ranked above the best target of each query, in its part of the gallery without its reference.
        r_precision: (Q,) float64 in [0, 1], NaN for a query without a target.
        average_precision: (Q,) float64 average precision at R in [0, 1], NaN for a query without a target.
    """

    counts: Counts
    r_precision: Tensor
    average_precision: Tensor

    def metrics(self) -> dict[str, float]:
        """{"recall_at_1", "recall_at_10", "recall_at_50", "rsum", "map_at_r", "r_precision", "median_rank", ...}.

        A recall is the percentage of queries with any target among the first k; for R-precision and mAP@R see
        `measures.precision_at_r`. All are percentages but ranks, which are 1-based; queries without a target are left
        out. "pessimistic_rsum" is rsum when every tie is lost.

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


def clusters(queries: ComposedQueries) -> dict[str, Tensor]:
    """{"reference": (Q,), "target": (Q,) the first target, -1 without one}: what queries may have in common.

    New products bring new references and new targets, so both are drawn.
    """
    return {"reference": queries.reference, "target": queries.targets[:, 0]}


def answers(blocks: Blocks, queries: ComposedQueries, draws: GalleryDraws | None = None) -> Answers:
    """Rank, block by block, the items of each query's part of the gallery without its reference.

    Args:
        blocks: scores of the queries.
        queries: of the split.
        draws: collects the hits under draws of the gallery; None draws none.

    Raises:
        ValueError: NaN among the scores.
    """
    measures = PerQueryMeasures()
    order = []
    part_of_query = queries.part[queries.reference]
    for part in range(len(queries.parts)):
        rows, columns = (part_of_query == part).nonzero()[:, 0], (queries.part == part).nonzero()[:, 0]
        order.append(rows)
        counts = item_counts(len(columns)) if draws is not None else None
        for chunk, scores, targets in scored_blocks(blocks, queries, rows, columns):
            measures.add(scores, targets)
            if draws is not None and counts is not None:
                draws.add(chunk, scores, targets, counts)
    back = torch.cat(order).argsort()
    ranked = Counts(*(torch.cat(column)[back] for column in zip(*measures.counts, strict=True)))
    precision, average = (torch.cat(column)[back] for column in zip(*measures.precisions, strict=True))
    return Answers(ranked, precision, average)


def is_whole(protocol: str) -> bool:
    """Whether a protocol takes all composed queries of a split as they are: split/NAME or composed/multi."""
    return protocol == "composed/multi" or protocol.startswith("split/")


def unknown_protocol(protocol: str) -> UsageError:
    """The error for a protocol that does not exist; it lists those that do."""
    return UsageError(
        f"no protocol '{protocol}' for composed queries. Protocols: split/NAME, composed/multi, fashioniq/original "
        "and fashioniq/val_union (with -kept or -masked, -one or -both), cirr/val, partial/ before these three."
    )


def evaluate_composed(blocks: Blocks, queries: ComposedQueries, protocol: str) -> Result:
    """The metrics of all composed queries of a split, with what they would be in drawn galleries.

    Args:
        blocks: scores of the queries.
        queries: of the split.
        protocol: "split/NAME" or "composed/multi", which are the same.

    Raises:
        UsageError: another protocol.
    """
    if not is_whole(protocol):
        raise unknown_protocol(protocol)
    draws = GalleryDraws(COMPOSED_KS, queries.reference)
    ranked = answers(blocks, queries, draws)
    ranks = ranked.counts.ranks()
    answered = ranks >= 0
    targets = ((queries.targets >= 0) & (queries.targets != queries.reference[:, None])).sum(1)
    notes = [
        "a query's reference is not in its gallery",
        f"{float(targets[answered].double().mean()):.1f} targets per query",
    ]
    if lost := int((~answered).sum()):
        notes.append(f"{lost} queries have no target here and are left out")
    gallery = {"query": int(torch.bincount(queries.part)[queries.part[queries.reference]].max()) - 1}
    counted = {"query": int(answered.sum())}
    return Result(
        protocol, ranked.metrics(), counted, gallery, notes, None, {"query": ranks}, clusters(queries),
        gallery_draws=draws.recalls(),
    )  # fmt: skip
