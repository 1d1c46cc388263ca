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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.query_bank import QueryBank
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
    _check_size(protocol, similarity)
    temperatures, bank = rerank or Temperatures(), bank or QueryBank()

    per_fold: list[dict[str, float]] = []
    ranks = {"i2t": owner.new_empty(similarity.shape[1]), "t2i": owner.new_empty(similarity.shape[0])}
    for fold in folds(similarity, owner, protocol.folds):
        near = bank.part(fold.texts, fold.items)
        counts: dict[Direction, Counts] = {
            "i2t": image_to_text_counts(temperatures.image_to_text(fold.similarity, near.i2t), fold.item_of_text),
            "t2i": text_to_image_counts(temperatures.text_to_image(fold.similarity, near.t2i), fold.item_of_text),
        }
        ranks["i2t"][fold.items], ranks["t2i"][fold.texts] = counts["i2t"].ranks(), counts["t2i"].ranks()
        per_fold.append(metrics_of_counts(counts, KS))
    metrics = {name: sum(one[name] for one in per_fold) / len(per_fold) for name in per_fold[0]}
    queries = {name: int((values >= 0).sum()) for name, values in ranks.items()}
    gallery = {"i2t": similarity.shape[0] // protocol.folds, "t2i": similarity.shape[1] // protocol.folds}
    return Result(
        protocol.name,
        metrics,
        queries,
        gallery,
        [*_notes(protocol, similarity, queries), *_rerank_notes(rerank)],
        rerank,
        ranks,
        {"item_of_text": owner},
    )


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
    if number == 1:
        yield Fold(similarity, item_of_text, texts, items)
        return
    for columns in items.tensor_split(number):
        first, last = int(columns[0]), int(columns[-1])
        rows = texts[(item_of_text >= first) & (item_of_text <= last)]
        yield Fold(similarity[rows, first : last + 1], item_of_text[rows] - first, rows, columns)


def _check_size(protocol: Protocol, similarity: Tensor) -> None:
    texts, items = similarity.shape
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


def _notes(protocol: Protocol, similarity: Tensor, queries: Mapping[str, int]) -> list[str]:
    notes = []
    if without := similarity.shape[1] - queries["i2t"]:
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
