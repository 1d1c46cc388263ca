"""What the loop and a method say to each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

COLLAPSE_TOLERANCE = 0.02

Batch = dict[str, Tensor]
"""Keys: regions (B, R, F), region_mask (B, R), text (B, T) word ids or (B, T, F) token states, text_mask (B, T),
image_id (B) of each caption. Where batches hold images with all their captions, B images have S captions: text
(S, T[, F]), text_mask (S, T), image_id (S), and item_id (B) says which image each row of regions is. Batches of
composed queries: raytrain/methods/composed.py. Everywhere noise (B, *noise_shape), where a method samples."""


def layer_scales(module: nn.Module, start: str, scale: float, decay: float) -> dict[str, float]:
    """{start of a parameter's name: its learning rate / the base rate}: each layer `decay` times the one above it.

    The layers are those of the module's longest list of modules. What stands before them (embeddings) learns as a layer
    below the first, and everything else at `scale`, as the last layer does.

    Args:
        start: of the names of the module's parameters.
        scale: of the last layer.
        decay: in (0, 1]; 1 gives all of it one rate.
    """
    lists = {name: len(part) for name, part in module.named_modules() if isinstance(part, nn.ModuleList)}
    if decay == 1 or not lists:
        return {start: scale}
    longest = max(lists, key=lambda name: lists[name])
    count = lists[longest]
    found = {f"{start}{longest}.{layer}.": scale * decay ** (count - 1 - layer) for layer in range(count)}
    below = [name for name, _ in module.named_modules() if name.rpartition(".")[2] == "embeddings"]
    return {start: scale, **found, **{f"{start}{name}.": scale * decay**count for name in below}}


def identity_gather(tensor: Tensor) -> Tensor:
    """The gather of a single process."""
    return tensor


@dataclass(frozen=True)
class StepContext:
    """Where training stands, and how to reach the other ranks.

    Args:
        epoch: epochs done, with the fraction of this one: 1.5 is the middle of the second.
        num_epochs: of the whole run.
        gather: the rows of this rank -> those of all ranks, in rank order, with gradient.
    """

    epoch: float = 0.0
    num_epochs: int = 1
    gather: Callable[[Tensor], Tensor] = identity_gather


@dataclass(frozen=True)
class Inputs:
    """Sizes a method learns from the data.

    Args:
        region_features: F of the image features.
        token_features: F of frozen token states; None where captions come as words.
        words: size of the word vocabulary; None where captions come as token states.
        global_region: which region is a feature of the whole image; None where none is known to be.
    """

    region_features: int
    token_features: int | None = None
    words: int | None = None
    global_region: int | None = None


class Method(nn.Module):
    """A method: how queries and gallery items are embedded and compared, and what training minimises.

    `lr_scales` multiplies the learning rate of the parameters whose names start so; `prefix` is what stands before
    `text.` in the names of the text branch. `noise_shape` is what training
    batches hold of standard normal numbers for each unit; () for a method that does not sample. `local_features` says
    that embeddings are (N, n, D) local features, a row of zeros for each that an item lacks, and no sets of embeddings.
    Only their number n may differ between batches; whoever joins batches pads them with rows of zeros.
    """

    lr_scales: Mapping[str, float] = MappingProxyType({})
    prefix: str = ""
    noise_shape: tuple[int, ...] = ()
    local_features: bool = False

    def encode_query(self, batch: Batch) -> Tensor:
        """Queries of the batch -> (Q, ...)."""
        raise NotImplementedError

    def encode_gallery(self, batch: Batch) -> Tensor:
        """Gallery items of the batch -> (G, ...)."""
        raise NotImplementedError

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """Queries of the batch -> (Q,), how uncertain the method says it is; None for one that does not say."""
        return None

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """About how many numbers are held while one of these queries is compared with one of these gallery items."""
        return math.prod(query.shape[1:-1]) * math.prod(gallery.shape[1:-1])

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """What the two made -> (Q, G) scores, larger is closer."""
        raise NotImplementedError

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """{"loss": of the global batch, and its parts by name, which every rank finds alike}."""
        raise NotImplementedError


def collapsed(loss: Tensor, margin: float, hardest: bool) -> Tensor:
    """() 1 where the hardest negatives cost what equal scores would, twice the margin to within 2 %; else 0.

    Args:
        loss: () triplet loss of both directions, a mean over queries.
        margin: of its hinges.
        hardest: whether it took the hardest negatives; 0 where it did not.
    """
    chance = 2 * margin
    if not hardest or chance == 0:
        return torch.zeros_like(loss)
    return ((loss - chance).abs() <= COLLAPSE_TOLERANCE * chance).float()
