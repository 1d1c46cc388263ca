"""RAU's uncertainty-aware blocks: they predict a Gaussian for each feature and draw a sample of it.

Letters: n blocks, B batch, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from raytrain.similarity.precision import wide

LOG_VARIANCE = (-10.0, 5.0)  # clamp: sigma from 0.007 to 12


class Gaussians:
    """The Gaussians that n blocks predict for B features.

    Args:
        parts: (3 n, B, D): means, log variances in [-10, 5], and samples, mean + noise * exp(log_variance / 2).

    Attributes:
        mean, log_variance, sample: (n, B, D) each.
    """

    def __init__(self, parts: Tensor) -> None:
        self.parts = parts
        self.mean, self.log_variance, self.sample = parts.view(3, -1, *parts.shape[1:]).unbind()

    def gathered(self, gather: Callable[[Tensor], Tensor]) -> Gaussians:
        """Those of the features of all ranks.

        Args:
            gather: rows of this rank -> rows of all ranks.
        """
        return Gaussians(gather(self.parts.transpose(0, 1)).transpose(0, 1))


class UncertaintyBlock(nn.Module):
    """One block: mean and log variance, each a linear layer over the layer-normed input (RAU).

    The bias of the log variance starts at -4, a sigma of 0.14: samples begin near the mean.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mean = nn.Linear(dim, dim)
        self.log_variance = nn.Linear(dim, dim)
        nn.init.constant_(self.log_variance.bias, -4.0)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) -> mean (B, D), log variance (B, D), float32 or wider."""
        normed = self.norm(features)
        return wide(self.mean(normed)), wide(self.log_variance(normed)).clamp(*LOG_VARIANCE)


class UncertaintyBlocks(nn.Module):
    """n blocks for one side, source or target; both sides may hold the same module. For training only.

    Args:
        dim: D.
        blocks: n.
        wiring: "chain", block b reads a_b = a_{b-1} + z_{b-1}, the sample of the block before added to its input;
            "parallel", all blocks read a_0.
    """

    def __init__(self, dim: int, blocks: int = 2, wiring: str = "chain") -> None:
        super().__init__()
        if wiring not in ("chain", "parallel") or blocks < 1:
            raise ValueError(f"wiring is chain or parallel and blocks at least 1; given: {wiring!r}, {blocks}")
        self.wiring = wiring
        self.blocks = nn.ModuleList(UncertaintyBlock(dim) for _ in range(blocks))

    def forward(self, features: Tensor, noise: Tensor | None = None) -> Gaussians:
        """The Gaussians of (B, D) features.

        Args:
            features: a_0.
            noise: (n, B, D) standard normal; None draws it here. Ranks that draw the noise of a sample by the
                sample's identity, not by its place in their batch, draw together what one process draws.
        """
        if noise is None:
            noise = torch.randn(len(self.blocks), *features.shape, device=features.device)
        noise = noise.to(torch.promote_types(features.dtype, torch.float32))
        means, log_variances, samples = [], [], []
        state = features
        for block, block_noise in zip(self.blocks, noise, strict=True):
            mean, log_variance = block(state)
            sample = mean + block_noise * (log_variance / 2).exp()
            means.append(mean)
            log_variances.append(log_variance)
            samples.append(sample)
            state = state + sample if self.wiring == "chain" else features
        return Gaussians(torch.stack([*means, *log_variances, *samples]))
