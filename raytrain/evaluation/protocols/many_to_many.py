"""Image-text protocols with many positives per query: ECCV Caption, CxC and classes.

Both directions come from one (M, N) matrix of M texts by N images. Pairs of two images or of two texts (CxC) come from
a matrix of their own, a block of rows at a time, in which no item is in its own gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols.protocols import Protocol, Result, check_size
from raytrain.evaluation.protocols.relevance import Positives
from raytrain.evaluation.ranking.counts import check_owner
from raytrain.evaluation.ranking.measures import Measures, PerQueryMeasures
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank

Rows = Callable[[Tensor], Tensor]
"""(q,) positions of queries -> (q, G) scores, which the caller may write into."""
BLOCK_ELEMENTS = 2_000_000
KS = {"eccv": (1,), "cxc": (1, 5, 10), "class": (1,)}
HEADLINES = {"eccv": "eccv/map_at_r", "cxc": "cxc/recall_at_1", "class": "class/r_precision"}
QUERIES = {"coco/eccv": {"i2t": 1_261, "t2i": 1_332}, "coco/cxc": {"i2t": 5_000, "t2i": 24_972}}
"""{protocol: {direction: number of its queries}}; a table with other ids has other queries, or none."""


def evaluate_relevance(
    similarity: Tensor,
    item_of_text: Tensor,
    protocol: Protocol,
    positives: Mapping[str, Positives],
    rerank: Temperatures | None = None,
    within: Mapping[str, Rows] | None = None,
    bank: QueryBank | None = None,
) -> Result:
    """R@k per direction and the mean of both directions; for ECCV and classes also R-precision and mAP@R.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        protocol: with a relevance other than "own".
        positives: {"i2t": texts that answer each image, "t2i": images that answer each text}; for CxC also "i2i" and
            "t2t" where they are given.
        rerank: temperatures of Fast Re-ranking; None leaves the scores as they are.
        within: {"i2i": scores of images against all images, "t2t": of texts against all texts}, where the method
            compares two of a kind.
        bank: scores of training queries against this gallery, where the temperatures are for a bank.

    Raises:
        RefusedError: a published protocol on another gallery, or with another number of queries.
        ValueError: shapes that do not fit, or NaN among the scores.
    """
    owner = check_owner(similarity, item_of_text)
    notes = check_size(protocol, *similarity.shape)
    _check_queries(protocol, positives)
    temperatures, within, bank = rerank or Temperatures(), within or {}, bank or QueryBank()
    kind = protocol.relevance
    for_images = temperatures.normaliser("i2t", similarity, bank.i2t)
    for_texts = temperatures.normaliser("t2i", similarity, bank.t2i)

    def of_images(images: Tensor) -> Tensor:
        block = similarity[:, images]
        return (block if for_images is None else for_images(block, columns=images)).T

    def of_texts(texts: Tensor) -> Tensor:
        block = similarity[texts]
        return block if for_texts is None else for_texts(block, texts)

    rows: dict[str, Rows] = {"i2t": of_images, "t2i": of_texts, **within}
    size = {"i2t": similarity.shape[0], "t2i": similarity.shape[1]}
    size |= {"i2i": size["t2i"] - 1, "t2t": size["i2t"] - 1}
    images = torch.arange(similarity.shape[1], device=owner.device)
    cluster = {"i2t": images, "i2i": images, "t2i": owner, "t2t": owner}
    values: dict[str, Tensor] = {}
    groups: dict[str, Tensor] = {}
    ranks: dict[str, Tensor] = {}
    queries: dict[str, int] = {}
    for direction in (name for name in ("i2t", "t2i", "i2i", "t2t") if name in rows and name in positives):
        relevant = positives[direction]
        per_query = PerQueryMeasures(precision=kind != "cxc")
        for block in _blocks(rows[direction], relevant, size[direction], within_kind=direction in within):
            per_query.add(*block)
        for name, value in per_query.measures(KS[kind]).items():
            values[f"{kind}/{direction}_{name}"] = value
            groups[f"{kind}/{direction}_{name}"] = cluster[direction][relevant.queries]
        ranks[direction] = torch.full_like(cluster[direction], -1)
        ranks[direction][relevant.queries] = per_query.ranks()
        queries[direction] = len(relevant.queries)
        notes += _left_out(direction, relevant)
    notes += _missing_directions(protocol, positives, within)
    means = {
        f"{kind}/{name}": [f"{kind}/{direction}_{name}" for direction in ("i2t", "t2i")]
        for name in (*(f"recall_at_{k}" for k in KS[kind]), *(() if kind == "cxc" else ("r_precision", "map_at_r")))
    }
    measures = Measures(values, groups, means)
    gallery = {direction: size[direction] for direction in queries}
    return Result(
        protocol.name, measures.metrics(), queries, gallery, notes, rerank, ranks, {"item_of_text": owner},
        HEADLINES[kind], measures,
    )  # fmt: skip


def _check_queries(protocol: Protocol, positives: Mapping[str, Positives]) -> None:
    """Refuse a published protocol with another number of queries, and any protocol without queries."""
    for direction, number in QUERIES.get(protocol.name, {}).items():
        present = len(positives[direction].queries)
        if present != number:
            raise RefusedError(
                f"{protocol.name} has {number:,} queries {direction}, and {present:,} of them are in this split: its "
                "ids are not those of COCO's test. Build the table from dataset_coco.json (source karpathy, "
                "texts_per_image=5)."
            )
    if not all(len(positives[direction].queries) for direction in ("i2t", "t2i")):
        what = "classes" if protocol.relevance == "class" else "positives of COCO's test"
        raise RefusedError(f"{protocol.name} finds no query in this split that has {what}")


def _blocks(rows: Rows, positives: Positives, size: int, within_kind: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Blocks of queries: (q, G) scores, (q, P) positives and (q,) R.

    Args:
        rows: scores of queries.
        positives: of all queries of the direction.
        size: of the gallery.
        within_kind: whether queries and gallery are the same items; a query is then taken out of its own gallery.
    """
    step = max(1, BLOCK_ELEMENTS // size)
    parts = (torch.split(tensor, step) for tensor in (positives.queries, positives.items, positives.number))
    for queries, items, number in zip(*parts, strict=True):
        scores = rows(queries)
        if within_kind:
            scores[torch.arange(len(queries)), queries] = -torch.inf
        yield scores, items.to(scores.device), number.to(scores.device)


def _left_out(direction: str, positives: Positives) -> list[str]:
    """Notes on the queries and positives of the benchmark that this split lacks."""
    notes = []
    if positives.without:
        notes.append(
            f"{direction}: {positives.without:,} queries are not here or have no positive here, and are left out"
        )
    if positives.outside:
        notes.append(f"{direction}: {positives.outside:,} positives are not in the gallery")
    return notes


def _missing_directions(
    protocol: Protocol, positives: Mapping[str, Positives], within: Mapping[str, Rows]
) -> Sequence[str]:
    """Notes on the directions i2i and t2t of CxC that are not evaluated, and why."""
    notes = []
    for direction, file in (("i2i", "sis_test.csv"), ("t2t", "sts_test.csv")):
        if protocol.relevance != "cxc" or (direction in positives and direction in within):
            continue
        why = "the method does not compare two of a kind" if direction in positives else f"{file} of CxC was not given"
        notes.append(f"{direction} is missing: {why}")
    return notes
