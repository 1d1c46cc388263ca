"""VSE++: one vector per image and per caption, and the hardest negatives (Faghri et al., BMVC 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import BiGRUText, EncoderConfig, VSEPPConfig
from raytrain.encoders.heads import xavier_linear
from raytrain.encoders.words import LastStateCaptions
from raytrain.errors import UsageError
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, Method, StepContext, collapsed
from raytrain.methods.branches import text_encoder
from raytrain.similarity.precision import l2_normalize


class VSEPP(Method):
    """The method: captions are queries, images the gallery.

    An image is embedded by a linear layer over one feature of unit length, a caption by the last state of a GRU; token
    states go through a linear layer and `encoder.pooling`.
    """

    def __init__(self, encoder: EncoderConfig, config: VSEPPConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.monotone = not config.order
        self.global_region = inputs.global_region
        if config.image == "global" and self.global_region is None:
            raise UsageError(
                "method.image=global reads the region of the whole image, and the image features of this table name "
                "none; use method.image=mean"
            )
        self.image = xavier_linear(inputs.region_features, encoder.dim)
        self.text: nn.Module
        if isinstance(encoder.text, BiGRUText):
            assert inputs.words is not None
            self.text = LastStateCaptions(inputs.words, encoder.text.word_dim, encoder.dim, config.gru == "both")
        else:
            self.text = text_encoder(encoder, inputs)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self._for_order(self.text(batch["text"], batch["text_mask"]))

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D)."""
        regions, mask = batch["regions"], batch["region_mask"]
        if self.config.image == "global":
            assert self.global_region is not None
            whole = regions[:, self.global_region]  # also where region_drop masks it: it is all there is of the image
        else:
            whole = (regions * mask[..., None]).sum(1)  # the mean up to its length, which is normalised anyway
        return self._for_order(l2_normalize(self.image(l2_normalize(whole, dim=-1)), dim=-1))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.order(query, gallery) if self.config.order else similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the global batch: sum of the hinges of the hardest negatives, or of all (VSE0)."""
        config, context = self.config, context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        negatives = batch_negatives(context.gather(batch["image_id"]), config.same_image)
        hardest = config.mining == "hardest" and context.epoch >= config.mean_warmup_epochs
        loss = losses.triplet_loss(self.similarity(query, gallery), negatives, config.margin, hardest)
        alarm = collapsed(loss.detach() / len(query), config.margin, hardest)
        return {"loss": loss, "triplet": loss.detach(), "collapsed": alarm}

    def _for_order(self, embedding: Tensor) -> Tensor:
        """The embedding, or its absolute value for order embeddings, which have no number below zero."""
        return torch.abs(embedding) if self.config.order else embedding
