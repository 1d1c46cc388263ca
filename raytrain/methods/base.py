"""The interface between the training loop and a method: batches, sizes of the data, step context, base class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

COLLAPSE_TOLERANCE = 0.02
"""Relative distance from the loss of equal scores up to which `collapsed` calls a loss collapsed."""

Batch = dict[str, Tensor]
"""Keys: regions (B, R, F), region_mask (B, R), text (B, T) word ids or (B, T, F) token states, text_mask (B, T),
image_id (B), the image of each caption. A batch of images with all their captions has S captions for B images: text
(S, T[, F]), text_mask (S, T), image_id (S), item_id (B), the image of each row of regions, and image_row (S), the row
of each caption's image among those of all ranks. For batches of composed
queries see raytrain/methods/composed.py. Where a method samples, a batch also has noise (B, *noise_shape)."""


def layer_scales(module: nn.Module, start: str, scale: float, decay: float) -> dict[str, float]:
    """{prefix of parameter names: learning rate / base rate}; a layer has `decay` times the rate of the one above it.

    The layers are those of the module's longest list of modules. Embeddings count as a layer below the first;
    everything else has the rate of the last layer.

    Args:
        module: whose layers learn at different rates.
        start: prefix of the names of the module's parameters.
        scale: learning rate of the last layer / base rate.
        decay: in (0, 1]; at 1 all layers have the same rate.
    """
    lists = {name: len(part) for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}
    if decay == 1 or not lists:
        return {start: scale}
    longest = max(lists, key=lambda name: lists[name])
    count = lists[longest]
    by_layer = {f"{start}{longest}.{layer}.": scale * decay ** (count - 1 - layer) for layer in range(count)}
    below = [name for name, _ in module.named_modules() if name.rpartition(".")[2] == "embeddings"]
    return {start: scale, **by_layer, **{f"{start}{name}.": scale * decay**count for name in below}}


def identity_gather(tensor: Tensor) -> Tensor:
    """The gather of a single process."""
    return tensor


@dataclass(frozen=True)
class StepContext:
    """The progress of training at a step, and the gather over ranks.

    Args:
        epoch: epochs done, as a fraction: 1.5 is the middle of the second epoch.
        num_epochs: epochs of the whole run.
        gather: rows of this rank -> rows of all ranks, in rank order, with gradient.
    """

    epoch: float = 0.0
    num_epochs: int = 1
    gather: Callable[[Tensor], Tensor] = identity_gather


@dataclass(frozen=True)
class Inputs:
    """Sizes of the data that a method is built for.

    Args:
        region_features: F of the image features.
        token_features: F of frozen token states; None where captions come as words.
        words: size of the word vocabulary; None where captions come as token states.
        global_region: index of the region that is a feature of the whole image; None where the features name none.
    """

    region_features: int
    token_features: int | None = None
    words: int | None = None
    global_region: int | None = None


class Method(nn.Module):
    """A method: how queries and gallery items are embedded and compared, and what training minimises.

    Attributes:
        lr_scales: {prefix of parameter names: factor of their learning rate}.
        prefix: what precedes `text.` in the parameter names of the text branch.
        noise_shape: shape of the standard normal noise per row of a training batch; () where a method does not sample.
        local_features: whether embeddings are (N, n, D) local features, padded with rows of zeros, and not sets of
            embeddings. Their number n may differ between batches: code that joins batches pads them with zeros.
        monotone: whether `similarity` and `item_similarity` are functions of the inner products of both sides' vectors
            alone that never fall where one of these rises, and rise by no more than it: an index can bound them.
        mixes_rows: whether what training embeds of a row depends on other rows of the batch, beyond batch norm: such a
            batch cannot be embedded in parts.
        averaged: whether `optim.ema_decay` may average what the method holds.
        texts_once: whether `encode_query` takes batches of composed queries that hold each of their texts once, with
            text_row (B), which of them each query has.
    """

    lr_scales: Mapping[str, float] = MappingProxyType({})
    prefix: str = ""
    noise_shape: tuple[int, ...] = ()
    local_features: bool = False
    monotone: bool = False
    texts_once: bool = False
    averaged: bool = True
    mixes_rows: bool = False

    @property
    def over_features(self) -> Method:
        """The method without a backbone that trains with it: it takes features and not images."""
        return self

    def with_regions(self, batch: Batch) -> Batch:
        """The batch with features in place of images, as `over_features` takes it."""
        return batch

    def compiled_modules(self) -> Iterator[nn.Module]:
        """The modules that `optim.compile` compiles, each by itself."""
        return self.children()

    def encode_query(self, batch: Batch) -> Tensor:
        """Queries of the batch -> (Q, ...) embeddings."""
        raise NotImplementedError

    def encode_gallery(self, batch: Batch) -> Tensor:
        """Gallery items of the batch -> (G, ...) embeddings."""
        raise NotImplementedError

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """Queries of the batch -> (Q,) uncertainty, larger is less certain; None where a method predicts none."""
        return None

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """About how many numbers are in memory per pair while these queries are compared with these gallery items."""
        return math.prod(query.shape[1:-1]) * math.prod(gallery.shape[1:-1])

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Embeddings of queries and of gallery items -> (Q, G) scores, larger is closer."""
        raise NotImplementedError

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        """Embeddings of gallery items and of other gallery items -> (N, G) scores, larger is closer.

        Raises:
            UsageError: the method has no such score.
        """
        return self.similarity(items, others)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, G, 2) int64: which embedding of the query and which of the item are the closest pair, from 0 on.

        -1 stands for the only embedding of a side. None where a score is no maximum over embeddings, nor a soft one.
        The query may be gallery items too.
        """
        return None

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """{"loss": () of the global batch, name: () each of its parts without gradient}; the same on every rank.

        What is compared is gathered first, by `context.gather`, in the same calls in every step: under gradient caching
        a part of a batch runs up to the last of them (raytrain/training/gradient_cache.py).
        """
        raise NotImplementedError


def collapsed(loss: Tensor, margin: float, hardest: bool) -> Tensor:
    """() 1 where the loss is that of equal scores, twice the margin to within 2 %, under hardest negatives; else 0.

    Args:
        loss: () triplet loss of both directions, mean over queries.
        margin: of its hinges.
        hardest: whether the loss took the hardest negatives; without them the result is 0.
    """
    chance = 2 * margin
    if not hardest or chance == 0:
        return torch.zeros_like(loss)
    return ((loss - chance).abs() <= COLLAPSE_TOLERANCE * chance).float()
