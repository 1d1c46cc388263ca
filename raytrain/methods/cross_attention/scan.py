"""SCAN, stacked cross attention: words are scored with the regions they attend to, or the reverse (ECCV 2018)."""

from __future__ import annotations

from torch import Tensor

from raytrain import similarity
from raytrain.config import EncoderConfig, SCANConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.base import CrossAttention


class SCAN(CrossAttention):
    """The method in its text-image or its image-text form; the published ensemble averages the scores of two runs."""

    config: SCANConfig

    def __init__(self, encoder: EncoderConfig, config: SCANConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """Eight numbers per word and region: attention, its parts, and what the backward pass keeps."""
        return 8 * query.shape[1] * gallery.shape[1]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, T, D), (G, R, D) -> (Q, G)."""
        return self.in_blocks(self._compare, query, gallery)[0]

    def _compare(self, query: Tensor, gallery: Tensor) -> tuple[Tensor]:
        config = self.config
        settings = config.attention_scale, config.pooling, config.pooling_scale
        if config.direction == "t2i":
            return (similarity.cross_attention(query, gallery, *settings),)
        return (similarity.cross_attention(gallery, query, *settings).T,)
