"""VSE-infinity: one vector per image and per caption, by generalised pooling (Chen et al., CVPR 2021)."""

from __future__ import annotations

from torch import Tensor

from raytrain import similarity
from raytrain.config import EncoderConfig, VSEInfinityConfig
from raytrain.encoders.regions import RegionViews
from raytrain.methods.base import Batch, Inputs
from raytrain.methods.branches import text_encoder
from raytrain.methods.triplet import TripletMethod


class VSEInfinity(TripletMethod):
    """The method: captions are queries, images the gallery."""

    config: VSEInfinityConfig
    monotone = True

    def __init__(self, encoder: EncoderConfig, config: VSEInfinityConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image = RegionViews(inputs.region_features, encoder.dim, 1, encoder.pooling, gpo_dim=encoder.gpo_dim)
        self.text = text_encoder(encoder, inputs)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self.text(batch["text"], batch["text_mask"])  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D)."""
        return self.image(batch["regions"], batch["region_mask"])[:, 0]  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.cosine(query, gallery)
