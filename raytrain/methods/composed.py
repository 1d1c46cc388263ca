"""Composed retrieval: the query is a reference image with a modification text (CLIP4Cir, TIRG, MGUR and the sum).

Letters: B queries in the global batch, W ranks, R regions, F features, T tokens, D dimensions. A training batch holds
targets as regions and region_mask, like every gallery item; queries as reference (B, R, F), reference_mask (B, R), text
and text_mask; known_positives (B / W, B) bool, True where a target of the global batch answers the query; and noise
(B, N, D), standard normal, drawn for the global batch, so that W ranks train as one does. A batch that is only embedded
may hold each of its texts once, and then text_row (B), which of them each query has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import ComposedConfig, EncoderConfig, RAUConfig
from raytrain.encoders.composition import composition
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import image_views, text_encoder
from raytrain.similarity.precision import l2_normalize


class Composed(Method):
    """The method: queries are a reference and a modification text, the gallery images; one image encoder for both."""

    config: ComposedConfig | RAUConfig
    monotone = True
    texts_once = True

    def __init__(self, encoder: EncoderConfig, config: ComposedConfig | RAUConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image = image_views(encoder, inputs)
        # DDP would wait for the gradient of a branch that no loss reaches
        self.text = None if config.composition == "image" else text_encoder(encoder, inputs)
        self.composition = composition(config.composition, encoder.dim, config.dropout, config.residual)
        learned = config.scale_learned and config.base_loss == "info_nce"
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale))) if learned else None
        if config.base_loss == "multi_grained":
            self.noise_shape = (2, encoder.dim)

    def encode_query(self, batch: Batch) -> Tensor:
        """Reference (B, R, F) and text (B, T[, F]) -> (B, D), L2-normalised."""
        return l2_normalize(self.compose(batch), dim=-1)

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D), L2-normalised."""
        return self.image(batch["regions"], batch["region_mask"])[:, 0]  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the global batch."""
        context = context or StepContext()
        query, target = self.compose(batch).float(), self.encode_gallery(batch).float()
        query, target = context.gather(l2_normalize(query, dim=-1)), context.gather(target)
        loss = self.base_loss(query, target, self.ignored(batch, context), batch, context)
        return {"loss": loss, "base": loss.detach()}

    def compose(self, batch: Batch) -> Tensor:
        """(B, D) composed query, not normalised."""
        if self.text is None:
            return self.image(batch["reference"], batch["reference_mask"])[:, 0]  # type: ignore[no-any-return]
        text = self.text(batch["text"], batch["text_mask"])
        if "text_row" in batch:
            text = text[batch["text_row"]]
        if self.config.composition == "text":
            return text  # type: ignore[no-any-return]
        image = self.image(batch["reference"], batch["reference_mask"])[:, 0]
        return self.composition(image, text)  # type: ignore[no-any-return]

    def scale(self) -> Tensor | float:
        """Factor of the cosines; a learned one is at most 100, the bound of CLIP, from which it can come back."""
        if self.log_scale is None:
            return self.config.scale
        bounded = self.log_scale.clamp(max=math.log(100.0))
        return (self.log_scale + (bounded - self.log_scale).detach()).exp()

    def ignored(self, batch: Batch, context: StepContext) -> Tensor | None:
        """(B, B) bool, True at further targets that answer a query; None where they count as negatives."""
        if self.config.known_positives == "negative" or "known_positives" not in batch:
            return None
        return context.gather(batch["known_positives"])

    def base_loss(
        self, query: Tensor, target: Tensor, ignored: Tensor | None, batch: Batch, context: StepContext
    ) -> Tensor:
        """() loss of the (B, D) queries and (B, D) targets of the global batch."""
        if self.config.base_loss == "info_nce":
            scores = similarity.cosine(query, target)
            return losses.info_nce(scores, self.scale(), self.config.symmetric, ignored)
        if "noise" in batch:
            noise = context.gather(batch["noise"][:, :2])
        else:
            noise = torch.randn(len(target), 2, target.shape[1], device=target.device)
        query, target = self.config.norm * query, self.config.norm * target
        blurred = losses.blurred(target, noise.transpose(0, 1).to(target))
        return losses.multi_grained_loss(query, target, blurred, context.epoch / context.num_epochs, ignored)
