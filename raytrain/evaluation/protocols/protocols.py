"""Protocols: which part of a similarity matrix is ranked against which, and what the recalls are divided by.

    split/<name>      the whole split of a data set of one's own
    karpathy/<name>   the whole split of a Karpathy JSON (Flickr8k, Flickr30k, COCO), whatever is present of it
    flickr30k/1k      the published Flickr30k test: exactly 1,000 images and 5,000 captions
    coco/5k           the published COCO test: exactly 5,000 images and 25,000 captions
    coco/1k5f         the same in five folds of 1,000 consecutive images, metrics averaged over the folds
    coco/eccv         the published COCO test, with the positives of ECCV Caption
    coco/cxc          the same with those of CxC: image to text and back, between images, between texts
    cub/unseen        CUB Captions, the 50 species that no training sees: whatever is of the species answers
    cub/seen          the same on the listed photos of the 150 other species
    class/<name>      the same on a whole split, whose groups are the classes
    partial/<...>     a published test set of which the table holds only a part, as the name then says

Protocols with positives of their own are in many_to_many.py beside this, composed queries in fashion_iq.py and cirr.py.

Re-ranking looks at a whole query set, so under coco/1k5f it happens inside each fold.
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
    """How a matrix is cut.

    Args:
        name: what result files and tables show.
        items: images the benchmark is defined on; None takes any number.
        texts: captions likewise.
        folds: consecutive groups of images that are ranked apart and averaged.
        relevance: what answers a query: an image's "own" texts, the pairs of "eccv" or "cxc", or its "class".
        partial: whether other numbers of images and captions are told rather than refused.
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
    """What a protocol says of one similarity matrix.

    Attributes:
        protocol: its name.
        metrics: names as in `recall.metrics_of_counts`, without the split; recalls in percent.
        queries: {"i2t": images with a caption, "t2i": captions} or {"query": composed queries}, or for each category
            of them: the denominators.
        gallery: {"i2t": captions, "t2i": images} or {"query": candidates}, likewise, that one query is ranked against
            (in one fold, where there are folds).
        notes: what a reader has to know beside the numbers.
        rerank: the temperatures that were applied, or None.
        ranks: {"i2t": (N,), "t2i": (M,)} or {"query": (Q,)} int64, of every query; -1 where it has no positive.
        groups: which queries belong together in a bootstrap: {"item_of_text": (M,)}, the image of each caption, or
            {"reference": (Q,)}.
        headline: the metric that stands for the protocol in a table.
        measures: what each query is worth, where the metrics are means of that; None where they follow from the ranks.
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

    @property
    def transductive(self) -> bool:
        """Whether a query's ranking depends on the other queries."""
        return self.rerank is not None and self.rerank.transductive

    @property
    def inductive(self) -> bool:
        """Whether scores were changed by what was chosen on validation, and yet each query is ranked by itself."""
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
            "i2t": image_to_text_counts(temperatures.image_to_text(part, near.i2t), owner),
            "t2i": text_to_image_counts(temperatures.text_to_image(part, near.t2i), owner),
        }

    return evaluate_counts(counts, owner, similarity.shape[1], protocol, rerank)


Places = Tensor | slice


def evaluate_counts(
    counts: Callable[[Places, Places, Tensor], Mapping[Direction, Counts]],
    item_of_text: Tensor,
    items: int,
    protocol: str | Protocol,
    rerank: Temperatures | None = None,
) -> Result:
    """As `evaluate`, for scores that need not be one matrix.

    Args:
        counts: texts and images of a fold, and (m,) which of these images each of these texts belongs to -> counts.
        item_of_text: (M,) position of the image that each text belongs to.
        items: N.
        protocol: its name, or a Protocol.
        rerank: what was done to the scores.
    """
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = item_of_text.to(torch.int64)
    shape = len(owner), items
    missing = check_size(protocol, *shape)
    assert protocol.relevance == "own", f"{protocol.name} is for many_to_many.evaluate_relevance"

    per_fold: list[dict[str, float]] = []
    ranks = {"i2t": owner.new_empty(items), "t2i": owner.new_empty(len(owner))}
    for texts, images in fold_places(owner, items, protocol.folds):
        found = dict(counts(texts, images, owner[texts] - (images.start or 0)))
        ranks["i2t"][images], ranks["t2i"][texts] = found["i2t"].ranks(), found["t2i"].ranks()
        per_fold.append(metrics_of_counts(found, KS))
    metrics = {name: sum(one[name] for one in per_fold) / len(per_fold) for name in per_fold[0]}
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
    """Texts and images of `number` groups of consecutive images; slices of everything for 1, which copy nothing."""
    if number == 1:
        yield slice(None), slice(None)
        return
    for columns in torch.arange(items).tensor_split(number):
        first, last = int(columns[0]), int(columns[-1])
        yield ((item_of_text >= first) & (item_of_text <= last)).nonzero()[:, 0], slice(first, last + 1)


@dataclass(frozen=True)
class Fold:
    """A part of the matrix: its own scores and owners, and which texts (rows) and items (columns) they are."""

    similarity: Tensor
    item_of_text: Tensor
    texts: Tensor
    items: Tensor


def folds(similarity: Tensor, item_of_text: Tensor, number: int) -> Iterator[Fold]:
    """The matrix cut into `number` groups of consecutive images and their texts; the whole of it, uncopied, for 1."""
    texts, items = (torch.arange(size, device=similarity.device) for size in similarity.shape)
    for rows, columns in fold_places(item_of_text, similarity.shape[1], number):
        owner = item_of_text[rows] - (columns.start or 0)
        yield Fold(similarity[rows, columns], owner, texts[rows], items[columns])


def check_size(protocol: Protocol, texts: int, items: int) -> list[str]:
    """What a partial protocol has less or more of than the published one; [] for every other.

    Raises:
        RefusedError: a published protocol on another number of images or captions.
    """
    if items < protocol.folds:
        raise RefusedError(f"{protocol.name} has {protocol.folds} folds; there are only {items} images")
    wrong = other_than({"images": (items, protocol.items), "captions": (texts, protocol.texts)})
    if wrong and not protocol.partial:
        name = protocol.name
        way = "" if protocol.relevance != "own" else ", or use karpathy/test, which takes a split as it is"
        raise RefusedError(refusal(name, wrong) + way)
    return told(wrong)


def other_than(sizes: Mapping[str, tuple[int, int | None]]) -> list[str]:
    """ "990 images instead of 1,000" for each {what: (how many there are, how many are published)} that differ."""
    return [f"{have:,} {what} instead of {want:,}" for what, (have, want) in sizes.items() if want not in (None, have)]


def refusal(name: str, wrong: Sequence[str]) -> str:
    """Why a published name is not given to another gallery."""
    return (
        f"{name} is a published test set, and this split has {' and '.join(wrong)}: recalls over another gallery must "
        f"not carry its name. Add what is missing, or use {PARTIAL}{name}, whose name says so"
    )


def told(wrong: Sequence[str]) -> list[str]:
    """The same as a note of a partial protocol."""
    return [f"not the published test set: {', '.join(wrong)}"] if wrong else []


def _notes(protocol: Protocol, items: int, queries: Mapping[str, int]) -> list[str]:
    notes = []
    if without := items - queries["i2t"]:
        notes.append(f"{without} images have no text: they are in the gallery but ask no i2t query")
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
