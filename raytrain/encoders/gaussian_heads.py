"""Heads that predict the Gaussian of an image or of a caption: PCME and PCME++.

Letters: B batch, n local features, R regions, T tokens, F features, D dimensions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from raytrain.encoders.heads import Head
from raytrain.encoders.padding import map_real_rows
from raytrain.encoders.pie_net import PIENet, attended, attention_scores
from raytrain.encoders.pooling import MeanPooling, pooling
from raytrain.encoders.regions import RegionViews
from raytrain.encoders.words import last_state


class GaussianHead(nn.Module):
    """Mean by PIE-Net with one attention, log sigma by another (PCME, Chun et al., CVPR 2021). A head of sets.

    Args:
        features: F of the local features.
        dim: D.
        dropout: of PIE-Net's residual.
        rest: what log sigma reads beside its attention, see LogSigma.
        start: value that log sigma starts near.
    """

    def __init__(
        self, features: int, dim: int, dropout: float = 0.0, rest: Literal["mean", "gru"] = "mean", start: float = -4.0
    ) -> None:
        super().__init__()
        self.mean = PIENet(features, dim, 1, dropout)
        self.log_sigma = LogSigma(features, dim, rest, start)

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, F) local features, (B, n) mask, (B, D) global -> (B, 1, D) mean, L2-normalised, and log sigma."""
        return self.mean(local, mask, whole)[0], self.log_sigma(local, mask)[:, None]


class LogSigma(nn.Module):
    """Log of the standard deviations: Linear(A^T x), A one attention as PIE-Net's, plus a rest (PCME, official code).

    Args:
        features: F.
        dim: D.
        rest: "mean", a linear layer over the mean of the local features (images); "gru", the last states of a GRU over
            them (words), whose directions are averaged here and concatenated in the official code.
        start: bias, so that log sigma starts near it.
    """

    def __init__(self, features: int, dim: int, rest: Literal["mean", "gru"], start: float) -> None:
        super().__init__()
        self.scores = attention_scores(features, 1)
        self.linear = nn.Linear(features, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.constant_(self.linear.bias, start)
        self.gru = nn.GRU(features, dim, batch_first=True, bidirectional=True) if rest == "gru" else None
        self.pool = MeanPooling()
        self.whole = nn.Linear(features, dim, bias=False) if rest == "mean" else None

    def forward(self, local: Tensor, mask: Tensor) -> Tensor:
        """(B, n, F) features, (B, n) bool mask, True first where a GRU reads them -> (B, D) log sigma."""
        log_sigma: Tensor = self.linear(attended(self.scores(local), local, mask)[:, 0])
        if self.gru is not None:
            return log_sigma + last_state(self.gru, local, mask)
        assert self.whole is not None
        return log_sigma + self.whole(self.pool(local, mask))  # type: ignore[no-any-return]


class RegionLogVariance(nn.Module):
    """Log variance of an image: a second image branch of VSE-infinity, not normalised to unit length (PCME++).

    Args:
        features: F.
        dim: D.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
        start, norm: see LogVarianceScale.
        head: see RegionViews.
    """

    def __init__(
        self, features: int, dim: int, pool: str, gpo_dim: int, start: float, norm: bool, head: Head | None = None
    ) -> None:
        super().__init__()
        self.views = RegionViews(features, dim, 1, pool, gpo_dim=gpo_dim, head=head)
        self.scale = LogVarianceScale(dim, start, norm)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features and (B, R) bool mask -> (B, D) log variance."""
        return self.scale(self.views.pooled(regions, mask)[:, 0])  # type: ignore[no-any-return]


class TokenLogVariance(nn.Module):
    """Log variance of a caption, from the token states that its mean reads too: Linear, pooled (PCME++, BERT text).

    Args:
        features: F of a state.
        dim: D.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
        start, norm: see LogVarianceScale.
        pool_first: as of TokenCaptions.
    """

    def __init__(
        self, features: int, dim: int, pool: str, gpo_dim: int, start: float, norm: bool, pool_first: bool = False
    ) -> None:
        super().__init__()
        self.pool_first = pool_first
        self.linear = nn.Linear(features, dim)
        self.pool = pooling(pool, gpo_dim)
        self.scale = LogVarianceScale(dim, start, norm)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) states and (B, T) bool mask -> (B, D) log variance."""
        if self.pool_first:
            return self.scale(self.linear(self.pool(states, mask)))  # type: ignore[no-any-return]
        return self.scale(self.pool(map_real_rows(self.linear, states, mask), mask))  # type: ignore[no-any-return]


class LogVarianceScale(nn.Module):
    """gain * LayerNorm(x) + bias, so that log variances start nearly equal (PCME++, official code).

    Args:
        dim: D.
        start: initial bias. The published 0 gives D variances of 1, whose sum outweighs the distance of means.
        norm: whether there are layer norm and gain; without them the output is x + bias.
    """

    def __init__(self, dim: int, start: float, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False) if norm else nn.Identity()
        self.gain = nn.Parameter(torch.full((dim,), 0.01)) if norm else None
        self.bias = nn.Parameter(torch.full((dim,), start))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, D)"""
        normed: Tensor = self.norm(features)
        return self.bias + (normed if self.gain is None else self.gain * normed)
