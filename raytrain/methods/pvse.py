"""PVSE: K embeddings per image and per caption by PIE-Net; the best pair counts (Song and Soleymani, CVPR 2019)."""

from __future__ import annotations

from torch import Tensor

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, PVSEConfig
from raytrain.distributed import OwnRows
from raytrain.encoders.pie_net import PIENet
from raytrain.encoders.sets import GridSets
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, Method, StepContext, collapsed
from raytrain.methods.branches import image_head, text_sets
from raytrain.methods.contrast import Contrast
from raytrain.methods.set_discrepancy import set_discrepancy
from raytrain.similarity.precision import l2_normalize


class PVSE(Method):
    """The method: captions are queries, images the gallery. At K = 1 its only loss is the triplet loss."""

    monotone = True

    def __init__(self, encoder: EncoderConfig, config: PVSEConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config

        def head(features: int) -> PIENet:
            return PIENet(features, encoder.dim, config.views, config.dropout)

        regions = inputs.region_features
        self.image = GridSets(regions, encoder.dim, head(regions), config.dropout, image_head(encoder, "linear"))
        self.text = text_sets(encoder, inputs, head, config.dropout, config.text_global)
        self.contrast = Contrast(config)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, K, D)."""
        return self.text(batch["text"], batch["text_mask"])[0]  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, K, D)."""
        return self.image(batch["regions"], batch["region_mask"])[0]  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, K, D), (G, K, D) -> (Q, G)."""
        return similarity.max_similarity(query, gallery)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, K, D), (G, K, D) -> (Q, G, 2) the pair that counts; None at K = 1."""
        return None if self.config.views == 1 else similarity.closest_elements(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is that of pairs + weighted discrepancy and diversity."""
        config, context = self.config, context or StepContext()
        texts, text_residuals = self.text(batch["text"], batch["text_mask"])
        images, image_residuals = self.image(batch["regions"], batch["region_mask"])
        query, gallery = context.gather(texts.float()), context.gather(images.float())
        negatives = batch_negatives(context.gather(batch["image_id"]), config.same_image)
        hardest = config.mining == "hardest" and context.epoch >= config.mean_warmup_epochs
        captions, pictures = OwnRows(query), OwnRows(gallery)
        scores = captions.gather(self.similarity(captions.own, pictures.all))
        pair_loss, parts = self.contrast(
            lambda: losses.mean_triplet(scores, negatives, config.margin, hardest),
            lambda scale: losses.info_nce(scores, scale, symmetric=True, ignored=~negatives),
        )
        if "triplet" in parts:
            parts["collapsed"] = collapsed(parts["triplet"], config.margin, hardest)
        if config.views == 1:
            return {"loss": pair_loss, **parts}
        discrepancy = set_discrepancy(pictures, captions)
        residuals = [context.gather(part.float()) for part in (text_residuals, image_residuals)]
        of_texts, of_images = (losses.gram_diversity(l2_normalize(part, dim=-1)) for part in residuals)
        diversity = of_texts + of_images
        total = pair_loss + config.mmd_weight * discrepancy + config.diversity_weight * diversity
        return {"loss": total, **parts, "discrepancy": discrepancy.detach(), "diversity": diversity.detach()}
