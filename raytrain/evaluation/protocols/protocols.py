"""Protocols of image-text retrieval: the parts of a similarity matrix that are ranked, and the denominators of recalls.

    split/<name>      the whole split of a user's data set
    karpathy/<name>   the whole split of a Karpathy JSON (Flickr8k, Flickr30k, COCO), as far as it is present
    flickr30k/1k      the published Flickr30k test: exactly 1,000 images and 5,000 captions
    coco/5k           the published COCO test: exactly 5,000 images and 25,000 captions
    coco/1k5f         the same in five folds of 1,000 consecutive images, metrics averaged over the folds
    coco/eccv         the published COCO test, with the positives of ECCV Caption
    coco/cxc          the same with those of CxC: image to text and back, between images, between texts
    cub/unseen        CUB Captions, the 50 species held out from training: all items of a query's species answer it
    cub/seen          the same on the listed photos of the 150 other species
    class/<name>      the same on a whole split, whose groups are the classes
    partial/<...>     a published test set of which the table holds only a part

Protocols with many positives are in many_to_many.py, protocols of composed queries in composed.py, fashion_iq.py and
cirr.py. Re-ranking uses the whole query set, so under coco/1k5f it runs inside each fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.ranking.counts import Counts, check_owner, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.measures import Measures
from raytrain.evaluation.ranking.recall import KS, Direction, metrics_of_counts
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank


@dataclass(frozen=True)
class Protocol:
    """A protocol of image-text retrieval.

    Args:
        name: as result files and tables show it.
        items: number of images of the benchmark; None takes any number.
        texts: number of captions of the benchmark; None takes any number.
        folds: number of consecutive groups of images that are ranked separately, and whose metrics are averaged.
        relevance: what answers a query: an image's "own" texts, the pairs of "eccv" or "cxc", or its "class".
        partial: whether other numbers of images and captions are noted instead of refused.
    """

    name: str
    items: int | None = None
    texts: int | None = None
    folds: int = 1
    relevance: Literal["own", "eccv", "cxc", "class"] = "own"
    partial: bool = False


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("flickr30k/1k", items=1_000, texts=5_000),
        Protocol("coco/5k", items=5_000, texts=25_000),
        Protocol("coco/1k5f", items=5_000, texts=25_000, folds=5),
        Protocol("coco/eccv", items=5_000, texts=25_000, relevance="eccv"),
        Protocol("coco/cxc", items=5_000, texts=25_000, relevance="cxc"),
        Protocol("cub/unseen", items=2_933, texts=29_330, relevance="class"),
        Protocol("cub/seen", items=1_764, texts=17_640, relevance="class"),
    )
}
PARTIAL = "partial/"


def find_protocol(name: str) -> Protocol:
    """The named protocol.

    Raises:
        UsageError: a name that does not exist.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    whole = name.removeprefix(PARTIAL)
    if whole in PROTOCOLS:
        return replace(PROTOCOLS[whole], name=name, partial=True)
    if re.fullmatch(r"(split|karpathy|class)/[A-Za-z0-9._-]+", name):
        return Protocol(name, relevance="class" if name.startswith("class/") else "own")
    raise UsageError(
        f"no protocol '{name}' for images with captions. Protocols: {', '.join(PROTOCOLS)}, partial/ before one of "
        "these, or split/NAME, karpathy/NAME and class/NAME for a whole split."
    )


@dataclass(frozen=True)
class Result:
    """The result of a protocol on one similarity matrix.

    Attributes:
        protocol: its name.
        metrics: names as in `recall.metrics_of_counts`, without the split; recalls in percent.
        queries: denominators: {"i2t": images with a caption, "t2i": captions}, {"query": composed queries}, or
            {category: composed queries}.
        gallery: items that one query is ranked against (in one fold, where there are folds), under the same keys.
        notes: sentences that a reader needs beside the numbers.
        rerank: the temperatures that were applied, or None.
        ranks: {"i2t": (N,), "t2i": (M,)} or {"query": (Q,)} int64 rank of every query; -1 where it has no positive.
        groups: clusters of queries: {"item_of_text": (M,)}, the image of each caption, or {"reference": (Q,), "target":
            (Q,)} of composed queries.
        headline: name of the metric that represents the protocol in a table.
        measures: value of each query, where the metrics are means of them; None where they follow from the ranks.
        gallery_draws: {metric: (draws, blocks of queries)} of composed queries, under draws of the gallery's items.
    """

    protocol: str
    metrics: Mapping[str, float]
    queries: Mapping[str, int]
    gallery: Mapping[str, int]
    notes: Sequence[str] = ()
    rerank: Temperatures | None = None
    ranks: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    groups: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    headline: str = "rsum"
    measures: Measures | None = field(default=None, repr=False, compare=False)
    gallery_draws: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def transductive(self) -> bool:
        """Whether a query's ranking depends on the other queries."""
        return self.rerank is not None and self.rerank.transductive

    @property
    def inductive(self) -> bool:
        """Whether scores were changed by settings chosen on validation, while each query is ranked independently."""
        return self.rerank is not None and self.rerank.active and not self.rerank.transductive


def evaluate(
    similarity: Tensor,
    item_of_text: Tensor,
    protocol: str | Protocol,
    rerank: Temperatures | None = None,
    bank: QueryBank | None = None,
) -> Result:
    """Recalls of both directions under a protocol.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        protocol: its name, or a Protocol.
        rerank: temperatures of Fast Re-ranking; None leaves the scores as they are.
        bank: scores of training queries against this gallery, where the temperatures are for a bank.

    Raises:
        RefusedError: a published protocol on another number of images or captions.
        UsageError: an unknown protocol.
        ValueError: shapes that do not fit, or NaN among the scores.
    """
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = check_owner(similarity, item_of_text)
    temperatures, bank = rerank or Temperatures(), bank or QueryBank()

    def counts(texts: Places, items: Places, owner: Tensor) -> dict[Direction, Counts]:
        part, near = similarity[texts, items], bank.part(texts, items)
        return {
            "i2t": image_to_text_counts(part, owner, temperatures.normaliser("i2t", part, near.i2t)),
            "t2i": text_to_image_counts(part, owner, temperatures.normaliser("t2i", part, near.t2i)),
        }

    return evaluate_counts(counts, owner, similarity.shape[1], protocol, rerank)


Places = Tensor | slice
"""Positions of texts or images in a split: (m,) int64, or a slice."""


def evaluate_counts(
    counts: Callable[[Places, Places, Tensor], Mapping[Direction, Counts]],
    item_of_text: Tensor,
    items: int,
    protocol: str | Protocol,
    rerank: Temperatures | None = None,
) -> Result:
    """As `evaluate`, for scores that need not be one matrix.

    Args:
        counts: (texts of a fold, images of a fold, (m,) position of each text's image among these images) -> counts of
            both directions.
        item_of_text: (M,) position of the image that each text belongs to.
        items: N.
        protocol: its name, or a Protocol.
        rerank: the temperatures that `counts` applied.
    """
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = item_of_text.to(torch.int64)
    shape = len(owner), items
    missing = check_size(protocol, *shape)
    assert protocol.relevance == "own", f"{protocol.name} is for many_to_many.evaluate_relevance"

    per_fold: list[dict[str, float]] = []
    ranks = {"i2t": owner.new_empty(items), "t2i": owner.new_empty(len(owner))}
    for texts, images in fold_places(owner, items, protocol.folds):
        fold_counts = dict(counts(texts, images, owner[texts] - (images.start or 0)))
        ranks["i2t"][images], ranks["t2i"][texts] = fold_counts["i2t"].ranks(), fold_counts["t2i"].ranks()
        per_fold.append(metrics_of_counts(fold_counts, KS))
    metrics = {name: sum(fold[name] for fold in per_fold) / len(per_fold) for name in per_fold[0]}
    queries = {name: int((values >= 0).sum()) for name, values in ranks.items()}
    gallery = {"i2t": shape[0] // protocol.folds, "t2i": shape[1] // protocol.folds}
    return Result(
        protocol.name,
        metrics,
        queries,
        gallery,
        [*missing, *_notes(protocol, items, queries), *_rerank_notes(rerank)],
        rerank,
        ranks,
        {"item_of_text": owner},
    )


def fold_places(item_of_text: Tensor, items: int, number: int) -> Iterator[tuple[Places, slice]]:
    """(texts, images) of each of `number` groups of consecutive images; whole slices for 1, which copy nothing."""
    if number == 1:
        yield slice(None), slice(None)
        return
    for columns in torch.arange(items).tensor_split(number):
        first, last = int(columns[0]), int(columns[-1])
        yield ((item_of_text >= first) & (item_of_text <= last)).nonzero()[:, 0], slice(first, last + 1)


@dataclass(frozen=True)
class Fold:
    """A part of the matrix: scores, each text's image among its images, positions of its texts (rows) and images."""

    similarity: Tensor
    item_of_text: Tensor
    texts: Tensor
    items: Tensor


def folds(similarity: Tensor, item_of_text: Tensor, number: int) -> Iterator[Fold]:
    """The matrix, cut into `number` groups of consecutive images and their texts; for 1 the whole matrix, uncopied."""
    texts, items = (torch.arange(size, device=similarity.device) for size in similarity.shape)
    for rows, columns in fold_places(item_of_text, similarity.shape[1], number):
        owner = item_of_text[rows] - (columns.start or 0)
        yield Fold(similarity[rows, columns], owner, texts[rows], items[columns])


def check_size(protocol: Protocol, texts: int, items: int) -> list[str]:
    """Notes on how a partial protocol differs from the published one; [] for any other protocol.

    Raises:
        RefusedError: a published protocol on another number of images or captions.
    """
    if items < protocol.folds:
        raise RefusedError(f"{protocol.name} has {protocol.folds} folds; there are only {items} images")
    differences = size_differences({"images": (items, protocol.items), "captions": (texts, protocol.texts)})
    if differences and not protocol.partial:
        name = protocol.name
        alternative = "" if protocol.relevance != "own" else ", or use karpathy/test, which takes any split"
        raise RefusedError(refusal(name, differences) + alternative)
    return partial_notes(differences)


def size_differences(sizes: Mapping[str, tuple[int, int | None]]) -> list[str]:
    """ "990 images instead of 1,000" for each of {what: (number here, published number; None for any)} that differs."""
    return [f"{have:,} {what} instead of {want:,}" for what, (have, want) in sizes.items() if want not in (None, have)]


def refusal(name: str, differences: Sequence[str]) -> str:
    """The error message for a published protocol on another gallery."""
    return (
        f"{name} is a published test set, and this split has {' and '.join(differences)}: recalls over another gallery "
        f"must not carry its name. Add what is missing, or use {PARTIAL}{name}, whose name says so"
    )


def partial_notes(differences: Sequence[str]) -> list[str]:
    """The note of a partial protocol that lists its differences; [] without any."""
    return [f"not the published test set: {', '.join(differences)}"] if differences else []


def _notes(protocol: Protocol, items: int, queries: Mapping[str, int]) -> list[str]:
    notes = []
    if without := items - queries["i2t"]:
        notes.append(f"{without} images have no text: they are in the gallery, but are no i2t queries")
    if protocol.folds > 1:
        notes.append(f"mean over {protocol.folds} folds of consecutive images; ranks are ranks within a fold")
    return notes


def _rerank_notes(rerank: Temperatures | None) -> list[str]:
    if rerank is None or not any(rerank.bank_sizes):
        return []
    sizes = " and ".join(
        f"{size:,} training {what}"
        for size, what in zip(rerank.bank_sizes, ("images", "captions"), strict=True)
        if size
    )
    return [f"normalised over a bank of {sizes} (seed {rerank.bank_seed})"]
