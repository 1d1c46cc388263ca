"""Run a protocol on a split: pick its queries and positives from the table, and compute only the scores it needs."""

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
from raytrain.evaluation.protocols.composed import Blocks, evaluate_composed, is_whole, unknown_protocol
from raytrain.evaluation.protocols.fashion_iq import evaluate_fashion, find_fashion
from raytrain.evaluation.protocols.many_to_many import Rows, evaluate_relevance
from raytrain.evaluation.protocols.named_split import refuse_other_split
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
from raytrain.evaluation.ranking.tiles import MEMORY_MIB
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.methods.base import Method
from raytrain.scoring.composed_queries import blocks_of, composed_queries
from raytrain.scoring.embed import count_pairs, score

SOURCES = {"cub": "cub", "fashioniq": "fashion_iq", "cirr": "cirr"}
"""{first part of a protocol's name: the only source of tables that it is for}"""


@dataclass(frozen=True)
class Scored:
    """A split and its embeddings, whose scores are computed when a protocol asks for them.

    Args:
        model: compares them.
        split: as `queries_for_protocol` gave it.
        query: (M, ...) embeddings of its captions or composed queries.
        gallery: (N, ...) embeddings of its images.
        memory_mib: MiB that comparing them may hold beside the embeddings.
        whole: the matrix of all scores is computed anyway, so that a protocol that only counts takes it too.
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
        """Counts of both directions between some captions and some images, without the matrix.

        Args:
            texts: positions of the captions.
            images: positions of the images.
            owner: (m,) which of these images each of these captions belongs to.
        """
        return count_pairs(self.model, self.query[texts], self.gallery[images], owner, self.memory_mib)

    def blocks(self) -> Blocks:
        """Scores of some composed queries against some images, block by block."""
        return blocks_of(self.model, self.query, self.gallery, self.memory_mib)

    def within(self) -> dict[str, Rows]:
        """{"i2i": scores of images against images, "t2t": of texts against texts}, if the method compares such."""
        if self.model.local_features or self.query.shape[1:] != self.gallery.shape[1:]:
            return {}

        def among(embedded: Tensor) -> Rows:
            return lambda queries: score(self.model, embedded[queries], embedded, self.memory_mib)

        return {"i2i": among(self.gallery), "t2t": among(self.query)}


def queries_for_protocol(split: AnySplit, protocol: str) -> AnySplit:
    """The split with a protocol's queries: those of FashionIQ twice, where a protocol takes both orders of captions.

    Raises:
        RefusedError: a published protocol on another number of images and captions.
        UsageError: a protocol that does not exist, is of another split, is not for this kind of table, or needs a
            package.
    """
    _check_protocol(split, protocol)
    if not isinstance(split, QuerySplit):
        definition = find_protocol(protocol)
        check_size(definition, len(split.texts), len(split.items))
        if definition.relevance in ("eccv", "cxc"):
            packaged_files()
        return split
    fashion = find_fashion(protocol)
    return split.in_both_orders() if fashion is not None and fashion.orders == "both" else split


def split_result(
    scored: Scored,
    protocol: str,
    temperatures: Temperatures | None = None,
    annotations: str | os.PathLike[str] | None = None,
) -> Result:
    """The result of a protocol on a split.

    Args:
        scored: the split and its embeddings.
        protocol: name of the protocol.
        temperatures: of re-ranking, for images with captions; None leaves the scores as they are.
        annotations: folder of the CSV files of CxC.

    Raises:
        RefusedError: a published protocol on another gallery.
        UsageError: a protocol that does not exist, is of another split, or is not for this kind of table.
    """
    split = scored.split
    _check_protocol(split, protocol)
    if isinstance(split, QuerySplit):
        result = _composed_result(scored, split, protocol)
    else:
        definition = find_protocol(protocol)
        owner = torch.from_numpy(split.item_of_text)
        if definition.relevance == "own" and temperatures is None and not scored.whole:
            result = evaluate_counts(scored.counts, owner, len(scored.gallery), definition)
        elif definition.relevance == "own":
            result = evaluate(scored.matrix, owner, definition, temperatures, scored.bank)
        else:
            positives = positives_of(split, definition, annotations)
            within = scored.within() if definition.relevance == "cxc" else {}
            result = evaluate_relevance(scored.matrix, owner, definition, positives, temperatures, within, scored.bank)
    return replace(result, notes=[*result.notes, *notes(split.table, split.name)])


def _composed_result(scored: Scored, split: QuerySplit, protocol: str) -> Result:
    blocks, queries, fashion = scored.blocks(), composed_queries(split), find_fashion(protocol)
    if fashion is not None:
        return evaluate_fashion(blocks, queries, fashion)
    if protocol.removeprefix(PARTIAL) == "cirr/val":
        return evaluate_cirr(blocks, queries, protocol)
    return evaluate_composed(blocks, queries, protocol)


def positives_of(split: Split, protocol: Protocol, annotations: str | os.PathLike[str] | None) -> dict[str, Positives]:
    """{direction: positives} of a protocol whose positives are not simply the captions of each image."""
    items, texts = split.table.items, split.table.texts
    if protocol.relevance == "class":
        image_class = items["group"].to_numpy()[split.items].astype(str)
        text_class = image_class[split.item_of_text]
        images, captions = image_class.tolist(), text_class.tolist()
        return {"i2t": of_classes(images, captions), "t2i": of_classes(captions, images)}
    ids = {"i": items["id"].take(split.items).to_pylist(), "t": texts["id"].take(split.texts).to_pylist()}
    pairs = eccv_pairs() if protocol.relevance == "eccv" else cxc_pairs()
    if protocol.relevance == "cxc" and annotations is not None:
        texts_of_image: dict[str, list[str]] = {image: [] for image in ids["i"]}
        for text, position in zip(ids["t"], split.item_of_text.tolist(), strict=True):
            texts_of_image[ids["i"][position]].append(text)
        pairs |= rated_pairs(annotations, texts_of_image)
    # two positives of ECCV Caption are captions that COCO's test leaves out; in its own code they count in R
    count_outside = not protocol.partial
    return {
        direction: of_pairs(listed, ids[direction[0]], ids[direction[2]], count_outside=count_outside)
        for direction, listed in pairs.items()
    }


def _check_protocol(split: AnySplit, protocol: str) -> None:
    """Raises UsageError where a protocol does not exist or is of another source or kind of tables, or another split."""
    needed = SOURCES.get(protocol.removeprefix(PARTIAL).partition("/")[0])
    source = _source(split).get("name")
    if needed is not None and source != needed:
        raise UsageError(f"no protocol '{protocol}' for a table of the source {source}: it is for those of {needed}")
    if isinstance(split, QuerySplit):
        if find_fashion(protocol) is None and not is_whole(protocol) and protocol.removeprefix(PARTIAL) != "cirr/val":
            raise unknown_protocol(protocol)
    else:
        find_protocol(protocol)
    refuse_other_split(protocol, split.name)


def _source(split: AnySplit) -> Mapping[str, Any]:
    source: Mapping[str, Any] = split.table.description.source
    return source
