"""VSE-infinity: one vector per image and per caption, by generalised pooling (Chen et al., CVPR 2021)."""

from __future__ import annotations

from torch import Tensor

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, VSEInfinityConfig
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import image_views, text_encoder
from raytrain.methods.contrast import Contrast


class VSEInfinity(Method):
    """The method: captions are queries, images the gallery. The published loss is the triplet loss alone."""

    monotone = True

    def __init__(self, encoder: EncoderConfig, config: VSEInfinityConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image = image_views(encoder, inputs)
        self.text = text_encoder(encoder, inputs)
        self.contrast = Contrast(config)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self.text(batch["text"], batch["text_mask"])  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D)."""
        return self.image(batch["regions"], batch["region_mask"])[:, 0]  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G)."""
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the global batch; a triplet loss sums over all negatives first, then the hardest."""
        config, context = self.config, context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        negatives = batch_negatives(context.gather(batch["image_id"]), config.same_image)
        hardest = context.epoch >= config.mean_warmup_epochs
        scores = self.similarity(query, gallery)
        loss, parts = self.contrast(
            lambda: losses.triplet_loss(scores, negatives, config.margin, hardest),
            lambda scale: losses.info_nce(scores, scale, symmetric=True, ignored=~negatives),
            len(query),
        )
        return {"loss": loss, **parts}
