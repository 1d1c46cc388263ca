"""Image branches over region or grid features: one vector (VSE-infinity), K views (DVSE), one per region (SCAN).

Letters: B batch, R regions, F features, K views, D dimensions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from raytrain.encoders.heads import Head, xavier_linear
from raytrain.encoders.padding import map_real_rows
from raytrain.encoders.pooling import pooling
from raytrain.similarity.precision import l2_normalize


class RegionViews(nn.Module):
    """K sub-embeddings of an image: a shared linear base plus one residual MLP per view, pooled, normalised.

    u_{r,k} = Linear(x_r) + MLP_k(x_r), MLP_k = Linear(F -> D/2), BatchNorm, ReLU, Linear(D/2 -> D). With one view it is
    the image branch of VSE-infinity (Chen et al., CVPR 2021, section 4.1). Under a linear head one view is the base
    alone, and of several views each adds a linear layer of its own to it.

    Batch norm sees the real regions only. Published code also feeds it the zeros that pad a batch; its statistics then
    depend on the padding, and differ between one process and two.

    Args:
        features: F.
        dim: D.
        views: K.
        pool: "gpo", "mean" or "max".
        pool_sharing: "shared", one pooling module for all views, or "per_view".
        gpo_dim: size of GPO's codes and hidden state.
        head: form of base and MLPs; all views read the same input, after the same dropout.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        views: int = 1,
        pool: str = "gpo",
        pool_sharing: Literal["shared", "per_view"] = "shared",
        gpo_dim: int = 32,
        head: Head | None = None,
    ) -> None:
        super().__init__()
        head = head or Head()
        self.dropout = head.input_dropout()
        self.base = xavier_linear(features, dim)
        self.views = views
        residual = head.residual if head.kind == "mlp" else xavier_linear
        self.mlps = nn.ModuleList(
            residual(features, dim) for _ in range(views if head.kind == "mlp" or views > 1 else 0)
        )
        self.pools = nn.ModuleList(pooling(pool, gpo_dim) for _ in range(views if pool_sharing == "per_view" else 1))

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features and (B, R) bool mask of the real ones -> (B, K, D), L2-normalised."""
        return l2_normalize(self.pooled(regions, mask), dim=-1)

    def pooled(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) and (B, R) -> (B, K, D), not normalised."""

        def views_of(real: Tensor) -> Tensor:
            """(S, F) -> (S, K, D)"""
            real = self.dropout(real)
            base = self.base(real)
            return torch.stack([base + mlp(real) for mlp in self.mlps], 1) if self.mlps else base[:, None]

        padded = map_real_rows(views_of, regions, mask)
        items, views = mask.shape[0], self.views
        if len(self.pools) == 1:  # each dimension is pooled by itself: those of all views at once
            pooled: Tensor = self.pools[0](padded.flatten(2), mask)
            return pooled.view(items, views, -1)
        return torch.stack([pool(padded[:, :, k], mask) for k, pool in enumerate(self.pools)], 1)


class LinearViews(nn.Module):
    """K sub-embeddings of an image: one linear layer per view, pooled over regions, normalised (MV-VSE, IJCAI 2022).

    Args:
        features: F.
        dim: D.
        views: K.
        pool: "max" (published), "gpo" or "mean"; one pooling module for all views.
        gpo_dim: size of GPO's codes and hidden state.
    """

    def __init__(self, features: int, dim: int, views: int, pool: str = "max", gpo_dim: int = 32) -> None:
        super().__init__()
        self.views = nn.ModuleList(xavier_linear(features, dim) for _ in range(views))
        self.pool = pooling(pool, gpo_dim)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features and (B, R) bool mask of the real ones -> (B, K, D), L2-normalised."""
        local = map_real_rows(lambda real: torch.stack([view(real) for view in self.views], 1), regions, mask)
        views = len(self.views)
        return l2_normalize(self.pool(local.flatten(2), mask).view(mask.shape[0], views, -1), dim=-1)


class LocalRegions(nn.Module):
    """One vector per region: Linear, L2-normalised (SCAN, Lee et al., ECCV 2018, section 3.2).

    Args:
        features: F.
        dim: D.
    """

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.linear = xavier_linear(features, dim)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features and (B, R) bool mask of the real ones -> (B, R, D), zeros where the mask is False."""
        return map_real_rows(lambda real: l2_normalize(self.linear(real), dim=-1), regions, mask)
