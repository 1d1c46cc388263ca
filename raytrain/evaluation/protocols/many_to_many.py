"""Image-text protocols with positives of their own: ECCV Caption, CxC and classes.

Both directions come from one (M, N) matrix of M texts by N images. Pairs of two images or of two texts (CxC) come from
a matrix of their own, a block of rows at a time, in which no item finds itself.
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
"""(q,) positions of queries -> (q, G) scores that the caller may write into."""
BLOCK_ELEMENTS = 2_000_000
KS = {"eccv": (1,), "cxc": (1, 5, 10), "class": (1,)}
HEADLINES = {"eccv": "eccv/map_at_r", "cxc": "cxc/recall_at_1", "class": "class/r_precision"}
ASKED = {"coco/eccv": {"i2t": 1_261, "t2i": 1_332}, "coco/cxc": {"i2t": 5_000, "t2i": 24_972}}
"""Queries of the published protocols: a table with other ids asks other ones, or none."""


def evaluate_relevance(
    similarity: Tensor,
    item_of_text: Tensor,
    protocol: Protocol,
    positives: Mapping[str, Positives],
    rerank: Temperatures | None = None,
    within: Mapping[str, Rows] | None = None,
    bank: QueryBank | None = None,
) -> Result:
    """R@k, and of ECCV and classes R-precision and mAP@R, of each direction, and the means of both.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        protocol: one whose relevance is not "own".
        positives: {"i2t": of the images among the texts, "t2i": of the texts among the images}, and for CxC "i2i" and
            "t2t" where they are known.
        rerank: temperatures of Fast Re-ranking; None leaves the scores as they are.
        within: {"i2i": scores of images against all images, "t2t": likewise of texts}, where the method compares them.
        bank: scores of training queries against this gallery, where the temperatures are for a bank.

    Raises:
        RefusedError: a published protocol on another gallery, or on queries that it does not have.
        ValueError: shapes that do not fit, or NaN among the scores.
    """
    owner = check_owner(similarity, item_of_text)
    notes = check_size(protocol, *similarity.shape)
    _check_asked(protocol, positives)
    temperatures, within, bank = rerank or Temperatures(), within or {}, bank or QueryBank()
    kind = protocol.relevance
    # a view, of which a block of images is copied at a time
    rows: dict[str, Rows] = {
        "i2t": _rows_of(temperatures.image_to_text(similarity, bank.i2t).T),
        "t2i": _rows_of(temperatures.text_to_image(similarity, bank.t2i)),
        **within,
    }
    size = {"i2t": similarity.shape[0], "t2i": similarity.shape[1]}
    size |= {"i2i": size["t2i"] - 1, "t2t": size["i2t"] - 1}
    images = torch.arange(similarity.shape[1], device=owner.device)
    cluster = {"i2t": images, "i2i": images, "t2i": owner, "t2t": owner}
    values: dict[str, Tensor] = {}
    groups: dict[str, Tensor] = {}
    ranks: dict[str, Tensor] = {}
    queries: dict[str, int] = {}
    for direction in (name for name in ("i2t", "t2i", "i2i", "t2t") if name in rows and name in positives):
        asked = positives[direction]
        one = PerQueryMeasures(precision=kind != "cxc")
        for block in _blocks(rows[direction], asked, size[direction], itself=direction in within):
            one.add(*block)
        for name, value in one.measures(KS[kind]).items():
            values[f"{kind}/{direction}_{name}"] = value
            groups[f"{kind}/{direction}_{name}"] = cluster[direction][asked.queries]
        ranks[direction] = torch.full_like(cluster[direction], -1)
        ranks[direction][asked.queries] = one.ranks()
        queries[direction] = len(asked.queries)
        notes += _left_out(direction, asked)
    notes += _not_here(protocol, positives, within)
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


def _check_asked(protocol: Protocol, positives: Mapping[str, Positives]) -> None:
    for direction, number in ASKED.get(protocol.name, {}).items():
        one = positives[direction]
        if len(one.queries) != number:
            raise RefusedError(
                f"{protocol.name} asks {number:,} queries {direction}, and {len(one.queries):,} of them are in this "
                "split: its ids are not those of COCO's test. Build the table from dataset_coco.json (source karpathy, "
                "texts_per_image=5)."
            )
    if not all(len(positives[direction].queries) for direction in ("i2t", "t2i")):
        what = "classes" if protocol.relevance == "class" else "positives of COCO's test"
        raise RefusedError(f"{protocol.name} finds no query in this split that has {what}")


def _rows_of(matrix: Tensor) -> Rows:
    return lambda queries: matrix[queries]


def _blocks(rows: Rows, asked: Positives, size: int, itself: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Scores, positives and R of some queries at a time; `itself`: a query stands in its own gallery, and must not."""
    step = max(1, BLOCK_ELEMENTS // size)
    parts = (torch.split(tensor, step) for tensor in (asked.queries, asked.items, asked.number))
    for queries, wanted, number in zip(*parts, strict=True):
        scores = rows(queries)
        if itself:
            scores[torch.arange(len(queries)), queries] = -torch.inf
        yield scores, wanted.to(scores.device), number.to(scores.device)


def _left_out(direction: str, asked: Positives) -> list[str]:
    notes = []
    if asked.without:
        notes.append(f"{direction}: {asked.without:,} queries are not here or have no positive here, and are left out")
    if asked.outside:
        notes.append(f"{direction}: {asked.outside:,} positives are not in the gallery")
    return notes


def _not_here(protocol: Protocol, positives: Mapping[str, Positives], within: Mapping[str, Rows]) -> Sequence[str]:
    """Why CxC's further directions are missing, where they are."""
    notes = []
    for direction, file in (("i2i", "sis_test.csv"), ("t2t", "sts_test.csv")):
        if protocol.relevance != "cxc" or (direction in positives and direction in within):
            continue
        why = (
            "the method does not compare two of a kind"
            if direction in positives
            else f"{file} of CxC was not given (--annotations FOLDER)"
        )
        notes.append(f"{direction} is missing: {why}")
    return notes
