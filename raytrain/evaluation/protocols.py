"""Protocols: which part of a similarity matrix is ranked against which, and what the recalls are divided by.

    split/<name>      the whole split of a data set of one's own
    karpathy/<name>   the whole split of a Karpathy JSON (Flickr8k, Flickr30k, COCO), whatever is present of it
    flickr30k/1k      the published Flickr30k test: exactly 1,000 images and 5,000 captions
    coco/5k           the published COCO test: exactly 5,000 images and 25,000 captions
    coco/1k5f         the same in five folds of 1,000 consecutive images, metrics averaged over the folds

Re-ranking looks at a whole query set, so under coco/1k5f it happens inside each fold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.ranking import Counts, check_owner, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.recall import KS, Direction, metrics_of_counts
from raytrain.evaluation.reranking import Temperatures


@dataclass(frozen=True)
class Protocol:
    """How a matrix is cut.

    Args:
        name: what result files and tables show.
        items: images the benchmark is defined on; None takes any number.
        texts: captions likewise.
        folds: consecutive groups of images that are ranked apart and averaged.
    """

    name: str
    items: int | None = None
    texts: int | None = None
    folds: int = 1


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("flickr30k/1k", items=1_000, texts=5_000),
        Protocol("coco/5k", items=5_000, texts=25_000),
        Protocol("coco/1k5f", items=5_000, texts=25_000, folds=5),
    )
}


def find_protocol(name: str) -> Protocol:
    """The named protocol.

    Raises:
        UsageError: a name that does not exist.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if re.fullmatch(r"(split|karpathy)/[A-Za-z0-9._-]+", name):
        return Protocol(name)
    raise UsageError(
        f"no protocol '{name}'. Protocols: {', '.join(PROTOCOLS)}, or split/NAME and karpathy/NAME for a whole split."
    )


@dataclass(frozen=True)
class Result:
    """What a protocol says of one similarity matrix.

    Attributes:
        protocol: its name.
        metrics: names as in `recall.metrics_of_counts`, without the split; recalls in percent.
        queries: {"i2t": images with a caption, "t2i": captions} or {"query": composed queries}: the denominators.
        gallery: {"i2t": captions, "t2i": images} or {"query": candidates} that one query is ranked against (in one
            fold, where there are folds).
        notes: what a reader has to know beside the numbers.
        rerank: the temperatures that were applied, or None.
        ranks: {"i2t": (N,), "t2i": (M,)} or {"query": (Q,)} int64, of every query; -1 where it has no positive.
        groups: which queries belong together in a bootstrap: {"item_of_text": (M,)}, the image of each caption, or
            {"reference": (Q,)}.
    """

    protocol: str
    metrics: Mapping[str, float]
    queries: Mapping[str, int]
    gallery: Mapping[str, int]
    notes: Sequence[str] = ()
    rerank: Temperatures | None = None
    ranks: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    groups: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def transductive(self) -> bool:
        """Whether a query's ranking depends on the other queries."""
        return self.rerank is not None and self.rerank.active


def evaluate(
    similarity: Tensor, item_of_text: Tensor, protocol: str | Protocol, rerank: Temperatures | None = None
) -> Result:
    """Recalls of both directions under a protocol.

    Args:
        similarity: (M, N) scores of M texts against N images.
        item_of_text: (M,) position of the image that each text belongs to.
        protocol: its name, or a Protocol.
        rerank: temperatures of Fast Re-ranking; None leaves the scores as they are.

    Raises:
        RefusedError: a published protocol on another number of images or captions.
        UsageError: an unknown protocol.
        ValueError: shapes that do not fit, or NaN among the scores.
    """
    protocol = find_protocol(protocol) if isinstance(protocol, str) else protocol
    owner = check_owner(similarity, item_of_text)
    temperatures = rerank or Temperatures()

    def counts(texts: Places, items: Places, owner: Tensor) -> dict[Direction, Counts]:
        part = similarity[texts, items]
        return {
            "i2t": image_to_text_counts(temperatures.image_to_text(part), owner),
            "t2i": text_to_image_counts(temperatures.text_to_image(part), owner),
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
    _check_size(protocol, *shape)

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
        _notes(protocol, items, queries),
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


def _check_size(protocol: Protocol, texts: int, items: int) -> None:
    if items < protocol.folds:
        raise RefusedError(f"{protocol.name} has {protocol.folds} folds; there are only {items} images")
    wrong = [
        f"{have:,} {what} instead of {want:,}"
        for what, have, want in (("images", items, protocol.items), ("captions", texts, protocol.texts))
        if want is not None and have != want
    ]
    if wrong:
        raise RefusedError(
            f"{protocol.name} is a published test set, and this split has {' and '.join(wrong)}: recalls over another "
            "gallery must not carry its name. Add what is missing, or use karpathy/test, which takes a split as it is."
        )


def _notes(protocol: Protocol, items: int, queries: Mapping[str, int]) -> list[str]:
    notes = []
    if without := items - queries["i2t"]:
        notes.append(f"{without} images have no text: they are in the gallery but ask no i2t query")
    if protocol.folds > 1:
        notes.append(f"mean over {protocol.folds} folds of consecutive images; ranks are ranks within a fold")
    return notes
