"""The method as one nn.Module, built from raytrain's encoders and losses.

Letters: B pairs in the batch of all ranks, R regions, T words or tokens, F features, D dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raytrain import losses, similarity
from raytrain.config import EncoderConfig
from raytrain.encoders.pooling import pooling
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import text_encoder
from raytrain_two_towers.config import TwoTowersConfig

MAX_SCALE = 100.0
"""As CLIP bounds its own (Radford et al., ICML 2021)."""


class Tower(nn.Module):
    """Linear(x) + MLP(x), L2-normalised. The MLP's last layer starts at zero, so training begins at the linear map.

    Args:
        features: F.
        dim: D.
        hidden: width of the MLP.
        dropout: inside the MLP.
    """

    def __init__(self, features: int, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(features, dim)
        last = nn.Linear(hidden, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout), last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) -> (B, D)"""
        return normalize(self.linear(x) + self.mlp(x), dim=-1)


class TwoTowers(Method):
    """The method: captions are queries, images the gallery."""

    def __init__(self, encoder: EncoderConfig, config: TwoTowersConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.pool = pooling(encoder.pooling, encoder.gpo_dim)
        self.image = Tower(inputs.region_features, encoder.dim, config.hidden, config.dropout)
        self.text = text_encoder(encoder, inputs)
        self.text_tower = Tower(encoder.dim, encoder.dim, config.hidden, config.dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)), requires_grad=config.scale_learned)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        query: Tensor = self.text_tower(self.text(batch["text"], batch["text_mask"]))
        return query

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D)."""
        gallery: Tensor = self.image(self.pool(batch["regions"], batch["region_mask"]))
        return gallery

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the batch of all ranks: InfoNCE, mean of both directions."""
        context = context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        images = context.gather(batch["image_id"])
        same = images[:, None] == images if self.config.same_image == "masked" else None
        scale = self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()
        loss = losses.info_nce(self.similarity(query, gallery), scale, symmetric=True, ignored=same)
        return {"loss": loss, "info_nce": loss.detach(), "scale": scale.detach()}
