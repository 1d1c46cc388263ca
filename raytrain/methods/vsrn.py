"""VSRN: one vector per image from the graph of its regions, one per caption, and a captioning loss (ICCV 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from raytrain import similarity
from raytrain.config import BiGRUText, EncoderConfig, VSRNConfig
from raytrain.encoders.caption_decoder import CaptionDecoder
from raytrain.encoders.region_graph import RegionGraph
from raytrain.encoders.words import LastStateCaptions
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.branches import text_encoder
from raytrain.methods.triplet import TripletMethod


class VSRN(TripletMethod):
    """The method: captions are queries, images the gallery.

    A caption is the last state of a GRU over its words; token states go through a linear layer and `encoder.pooling`.
    """

    config: VSRNConfig
    monotone = True

    def __init__(self, encoder: EncoderConfig, config: VSRNConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image = RegionGraph(inputs.region_features, encoder.dim, config.blocks, config.graph_norm)
        self.text: nn.Module
        self.decoder: CaptionDecoder | None = None
        if isinstance(encoder.text, BiGRUText):
            assert inputs.words is not None
            size = inputs.words, encoder.text.word_dim, encoder.dim
            self.text = LastStateCaptions(*size)
            if config.caption_weight:
                self.decoder = CaptionDecoder(*size, config.caption_dim, config.caption_dropout)
        elif config.caption_weight:
            raise UsageError(
                f"method.caption_weight={config.caption_weight:g} asks for the captioning loss, which predicts words, "
                f"and encoder.text.kind={encoder.text.kind} has none; use method.caption_weight=0, or captions as "
                "words: encoder.text.kind=bigru data.text_features=null"
            )
        else:
            self.text = text_encoder(encoder, inputs)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self.text(batch["text"], batch["text_mask"])  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D)."""
        return self.image(batch["regions"], batch["region_mask"])  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The triplet loss over the global batch, and the mean over its captions of -log p(caption | image)."""
        if self.decoder is None:
            return super().forward(batch, context)
        context = context or StepContext()
        related, mask = self.image.related(batch["regions"], batch["region_mask"])
        query, gallery = self.encode_query(batch), self.image.read(related, mask)
        losses = self.pair_losses(query, gallery, batch, context)
        caption = context.gather(self.decoder(related, mask, batch["text"], batch["text_mask"])).mean()
        losses["loss"] = losses["loss"] + self.config.caption_weight * caption
        return {**losses, "caption": caption.detach()}
