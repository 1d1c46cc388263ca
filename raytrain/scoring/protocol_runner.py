"""A split under a protocol: what a published evaluation needs of a table, and the scores that it asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from raytrain.data.table import AnySplit, QuerySplit, Split
from raytrain.data.table.coverage import notes
from raytrain.errors import UsageError
from raytrain.evaluation.protocols.cirr import evaluate_cirr
from raytrain.evaluation.protocols.composed import Blocks, evaluate_composed, is_whole, no_such
from raytrain.evaluation.protocols.fashion_iq import evaluate_fashion, find_fashion
from raytrain.evaluation.protocols.many_to_many import Rows, evaluate_relevance
from raytrain.evaluation.protocols.protocols import (
    PARTIAL,
    Places,
    Protocol,
    Result,
    check_size,
    evaluate,
    evaluate_counts,
    find_protocol,
)
from raytrain.evaluation.protocols.relevance import (
    Positives,
    cxc_pairs,
    eccv_pairs,
    of_classes,
    of_pairs,
    packaged_files,
    rated_pairs,
)
from raytrain.evaluation.ranking.counts import Counts
from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.ranking.streaming import MEMORY_MIB
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.methods.base import Method
from raytrain.scoring.composed_queries import blocks_of, composed_queries
from raytrain.scoring.embed import count_pairs, score

SOURCES = {"cub": "cub", "fashioniq": "fashion_iq", "cirr": "cirr"}
"""{first part of a protocol's name: the source of tables it is for}"""


@dataclass(frozen=True)
class Scored:
    """A split and its embeddings, compared as far as a protocol asks.

    Args:
        model: the method.
        split: as `queries_for_protocol` gave it.
        query: (M, ...) embeddings of its captions or composed queries.
        gallery: (N, ...) embeddings of its images.
        memory_mib: what comparing them may hold beside the embeddings.
        whole: whether the matrix of their scores is wanted anyway, so that it serves what could do without.
        bank: scores of training queries, where temperatures are for a bank.
    """

    model: Method
    split: AnySplit
    query: Tensor
    gallery: Tensor
    memory_mib: float = MEMORY_MIB
    whole: bool = False
    bank: QueryBank | None = None

    @cached_property
    def matrix(self) -> Tensor:
        """(M, N) scores of every query against every image."""
        return score(self.model, self.query, self.gallery, self.memory_mib)

    def counts(self, texts: Places, images: Places, owner: Tensor) -> dict[Direction, Counts]:
        """Counts of some captions and some images, (m,) of which each caption belongs to, without the matrix."""
        return count_pairs(self.model, self.query[texts], self.gallery[images], owner, self.memory_mib)

    def blocks(self) -> Blocks:
        """Scores of some composed queries against some images at a time."""
        return blocks_of(self.model, self.query, self.gallery, self.memory_mib)

    def within(self) -> dict[str, Rows]:
        """Scores of images against images and of texts against texts, where the method compares two of a kind."""
        if self.model.local_features or self.query.shape[1:] != self.gallery.shape[1:]:
            return {}

        def among(embedded: Tensor) -> Rows:
            return lambda queries: score(self.model, embedded[queries], embedded, self.memory_mib)

        return {"i2i": among(self.gallery), "t2t": among(self.query)}


def queries_for_protocol(split: AnySplit, protocol: str) -> AnySplit:
    """The split with the queries that a protocol asks: FashionIQ's twice, where both orders of captions are asked.

    Raises:
        RefusedError: a published protocol on another number of images and captions.
        UsageError: a protocol that does not exist, is not for this kind of table, or needs a package.
    """
    _check_source(split, protocol)
    if not isinstance(split, QuerySplit):
        found = find_protocol(protocol)
        check_size(found, len(split.texts), len(split.items))
        if found.relevance in ("eccv", "cxc"):
            packaged_files()
        return split
    fashion = find_fashion(protocol)
    if fashion is None and not is_whole(protocol) and protocol.removeprefix(PARTIAL) != "cirr/val":
        raise no_such(protocol)
    return split.in_both_orders() if fashion is not None and fashion.orders == "both" else split


def split_result(
    scored: Scored,
    protocol: str,
    temperatures: Temperatures | None = None,
    annotations: str | os.PathLike[str] | None = None,
) -> Result:
    """What a protocol says of a split.

    Args:
        scored: the split.
        protocol: its name.
        temperatures: of re-ranking, for images with captions.
        annotations: folder of the CSV files of CxC.

    Raises:
        RefusedError: a published protocol on another gallery.
        UsageError: a protocol that does not exist, or is not for this kind of table.
    """
    split = scored.split
    _check_source(split, protocol)
    if isinstance(split, QuerySplit):
        result = _composed_result(scored, split, protocol)
    else:
        found = find_protocol(protocol)
        owner = torch.from_numpy(split.item_of_text)
        if found.relevance == "own" and temperatures is None and not scored.whole:
            result = evaluate_counts(scored.counts, owner, len(scored.gallery), found)
        elif found.relevance == "own":
            result = evaluate(scored.matrix, owner, found, temperatures, scored.bank)
        else:
            positives = _positives(split, found, annotations)
            within = scored.within() if found.relevance == "cxc" else {}
            result = evaluate_relevance(scored.matrix, owner, found, positives, temperatures, within, scored.bank)
    return replace(result, notes=[*result.notes, *notes(split.table, split.name)])


def _composed_result(scored: Scored, split: QuerySplit, protocol: str) -> Result:
    blocks, asked, fashion = scored.blocks(), composed_queries(split), find_fashion(protocol)
    if fashion is not None:
        return evaluate_fashion(blocks, asked, fashion)
    if protocol.removeprefix(PARTIAL) == "cirr/val":
        return evaluate_cirr(blocks, asked, protocol)
    return evaluate_composed(blocks, asked, protocol)


def _positives(split: Split, protocol: Protocol, annotations: str | os.PathLike[str] | None) -> dict[str, Positives]:
    """{direction: positives} of a protocol that has its own."""
    items, texts = split.table.items, split.table.texts
    if protocol.relevance == "class":
        image = items["group"].to_numpy()[split.items].astype(str)
        text = image[split.item_of_text]
        return {"i2t": of_classes(image.tolist(), text.tolist()), "t2i": of_classes(text.tolist(), image.tolist())}
    ids = {"i": items["id"].take(split.items).to_pylist(), "t": texts["id"].take(split.texts).to_pylist()}
    pairs = eccv_pairs() if protocol.relevance == "eccv" else cxc_pairs()
    if protocol.relevance == "cxc" and annotations is not None:
        own: dict[str, list[str]] = {name: [] for name in ids["i"]}
        for text, at in zip(ids["t"], split.item_of_text.tolist(), strict=True):
            own[ids["i"][at]].append(text)
        pairs |= rated_pairs(annotations, own)
    # two positives of ECCV Caption are captions that COCO's test leaves out, and in its own code they count in R
    whole = not protocol.partial
    return {name: of_pairs(one, ids[name[0]], ids[name[2]], count_outside=whole) for name, one in pairs.items()}


def _check_source(split: AnySplit, protocol: str) -> None:
    """Benchmarks that a table of another source cannot be a part of."""
    needed = SOURCES.get(protocol.removeprefix(PARTIAL).partition("/")[0])
    source = _source(split).get("name")
    if needed is not None and source != needed:
        raise UsageError(f"no protocol '{protocol}' for a table of the source {source}: it is for those of {needed}")


def _source(split: AnySplit) -> Mapping[str, Any]:
    source: Mapping[str, Any] = split.table.description.source
    return source
