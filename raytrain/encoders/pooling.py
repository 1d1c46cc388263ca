"""Pooling: modules that make one vector of a set of local features (generalised pooling GPO, mean, max).

Letters: B batch, R members of a set (regions or tokens), D dimensions.
"""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor, nn

from raytrain.encoders.gru import BiGRU
from raytrain.encoders.padding import Members, being_traced, members
from raytrain.encoders.uncompiled import uncompiled
from raytrain.similarity.installed import module_with_numba
from raytrain.similarity.precision import in_float32

LEAST_DIM, MOST_MEMBERS = 128, 256
"""D from which on, and R up to which, ranks are found by compiled loops: not by the batch, so that none matters."""


class GPO(nn.Module):
    """Generalised pooling operator (Chen et al., CVPR 2021, section 3.2).

    Learns a weight per rank: features are sorted per dimension in descending order and summed with weights that a
    small bidirectional GRU makes from the sinusoidal codes of the positions 0..n-1. The weights depend on the length n
    only, so they are computed once per distinct length, not once per sample.

    Args:
        code_dim: size of the code of a position.
        hidden: hidden size of the GRU.
        temperature: of the softmax over positions.
    """

    def __init__(self, code_dim: int = 32, hidden: int = 32, temperature: float = 0.1) -> None:
        super().__init__()
        self.code_dim = code_dim
        self.temperature = temperature
        self.gru = BiGRU(code_dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def weights(self, lengths: Tensor, longest: int) -> Tensor:
        """(n) lengths, on the CPU -> (n, longest) weights, zero at and after each length; each row sums to 1."""
        device = self.score.weight.device
        packing = Members(torch.arange(longest) < lengths[:, None], device).packing
        codes = position_codes(longest, self.code_dim, device).to(self.score.weight.dtype)
        scores = self.score(self.gru(codes[packing.data % longest], packing.batch_sizes)).squeeze(-1).float()
        outside = scores.new_full((len(lengths) * longest,), -10000.0)  # the logit of padding
        scores = outside.index_copy(0, packing.data, scores).view(-1, longest)
        return torch.softmax(scores / self.temperature, -1)

    def of_sets(self, mask: Tensor) -> Tensor:
        """(B, R) bool mask -> (B, R) weights of the ranks in each set."""
        distinct, which = members(mask).distinct_lengths
        return self.weights(distinct, mask.shape[1])[which]

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, R, D) features and (B, R) bool mask of the real ones, at least one per row -> (B, D)."""
        weights = self.of_sets(mask)
        if (compiled := _compiled(features)) is not None:
            pooled: Tensor = compiled.ranked_sum(features, weights, mask)
            return pooled
        lengths = mask.sum(1)
        # masked members sort to the end, where the weight is zero; filling in zeros avoids inf * 0
        ordered = features.masked_fill(~mask[..., None], -torch.inf).sort(dim=1, descending=True).values
        past_end = torch.arange(mask.shape[1], device=mask.device) >= lengths[:, None]
        ordered = ordered.masked_fill(past_end[..., None], 0.0)
        return torch.einsum("br,brd->bd", weights.to(ordered.dtype), ordered)


class MeanPooling(nn.Module):
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, R, D), (B, R) -> (B, D)"""
        return _masked_sum(features, mask).to(features.dtype) / mask.sum(1, keepdim=True)


@in_float32
def _masked_sum(features: Tensor, mask: Tensor) -> Tensor:
    """(B, R, D), (B, R) -> (B, D): a product of each set with its mask, so that masked features are written nowhere."""
    return (mask[:, None].to(features.dtype) @ features)[:, 0]


class MaxPooling(nn.Module):
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """(B, R, D), (B, R) -> (B, D)"""
        return features.masked_fill(~mask[..., None], -torch.inf).amax(1)


@uncompiled
def _compiled(features: Tensor) -> ModuleType | None:
    """The module of `ranked_sum` where it applies (float32 on the CPU, small sets, numba); else None."""
    if being_traced() or features.device.type != "cpu" or features.dtype != torch.float32:
        return None
    if features.shape[1] > MOST_MEMBERS or features.shape[2] < LEAST_DIM:
        return None
    return module_with_numba("raytrain.encoders.compiled.ranked_sum")


def pooling(kind: str, gpo_dim: int = 32) -> nn.Module:
    """The pooling module of that name: "gpo" (codes and hidden state of size `gpo_dim`), "mean" or "max"."""
    if kind == "gpo":
        return GPO(gpo_dim, gpo_dim)
    return {"mean": MeanPooling, "max": MaxPooling}[kind]()


def position_codes(count: int, dim: int, device: torch.device | None = None) -> Tensor:
    """(count, dim) sinusoidal codes of 0..count-1, base 10000: sines at even places, cosines at odd ones."""
    position = torch.arange(count, dtype=torch.float32, device=device)[:, None]
    rate = position_rates(dim, device)
    codes = torch.zeros(count, dim, device=device)
    codes[:, 0::2] = torch.sin(position * rate)
    codes[:, 1::2] = torch.cos(position * rate)[:, : dim // 2]
    return codes


def position_rates(dim: int, device: torch.device | None = None) -> Tensor:
    """(dim / 2, rounded up) angles in radians per unit of position, from 1 down to nearly 1 / 10000."""
    return torch.exp(torch.arange(0, dim, 2, dtype=torch.float32, device=device) * (-math.log(10000.0) / dim))
