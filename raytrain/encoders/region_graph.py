"""VSRN's image branch: graph convolutions over an image's regions, read by a GRU (Li et al., ICCV 2019).

Letters: B batch, R regions, F features, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain.encoders.heads import xavier_linear
from raytrain.encoders.padding import know, map_real_rows, members
from raytrain.encoders.words import last_state
from raytrain.similarity.precision import l2_normalize


class GraphConvolution(nn.Module):
    """One step over the fully connected graph of regions: v + BN(Linear(E g(v))), E = theta(v) phi(v)^T / n (eq. 3, 4).

    Batch norm starts with gain and bias zero: a new step changes nothing.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.theta, self.phi, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim, bias=False)  # batch norm takes a bias away again, and some digits with it
        self.norm = nn.BatchNorm1d(dim)
        nn.init.zeros_(self.norm.weight)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, D) regions and (B, R) bool mask of the n real ones -> (B, R, D), zeros where the mask is False."""
        count = mask.sum(1).clamp(min=1)[:, None, None]
        edges = self.theta(regions) @ self.phi(regions).transpose(1, 2) / count
        edges = edges.masked_fill(~mask[:, None], 0.0)
        related = map_real_rows(lambda rows: self.norm(self.out(rows)), edges @ self.value(regions), mask)
        return regions + related


class RegionGraph(nn.Module):
    """One vector per image: Linear, unit length, graph convolutions, unit length, the last state of a GRU.

    Args:
        features: F.
        dim: D.
        blocks: number of graph convolutions.
        norm: unit length "features", of each region's features, or "regions", of each feature over an image's regions.
    """

    def __init__(self, features: int, dim: int, blocks: int, norm: str) -> None:
        super().__init__()
        self.linear = xavier_linear(features, dim)
        self.blocks = nn.ModuleList(GraphConvolution(dim) for _ in range(blocks))
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.norm_over = 2 if norm == "features" else 1

    def related(self, regions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, R, F) regions -> (B, R, D) related ones and their mask, the real ones first, zeros after them."""
        rows, mask = real_first(map_real_rows(self.linear, regions, mask), mask)
        rows = l2_normalize(rows, dim=self.norm_over)
        for block in self.blocks:
            rows = block(rows, mask)
        return l2_normalize(rows, dim=self.norm_over), mask

    def read(self, related: Tensor, mask: Tensor) -> Tensor:
        """(B, R, D) and (B, R) of `related` -> (B, D), L2-normalised."""
        return l2_normalize(last_state(self.gru, related, mask), dim=-1)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features and (B, R) bool mask of the real ones -> (B, D), L2-normalised."""
        return self.read(*self.related(regions, mask))


def real_first(rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, R, D) rows and (B, R) bool mask -> both with the real rows first, in their order."""
    count = mask.shape[1]
    places = torch.arange(count, device=mask.device) + count * ~mask
    order = places.topk(count, dim=1, largest=False).indices
    lengths = members(mask).lengths
    first = know(mask.gather(1, order), torch.arange(count) < lengths[:, None])
    return rows.gather(1, order[..., None].expand_as(rows)), first
