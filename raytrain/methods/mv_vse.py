"""MV-VSE: K views of an image against one vector of a caption, without a constraint between views (IJCAI 2022).

Li et al., "Multi-View Visual Semantic Embedding". It is what DVSE grew from: DVSE weights the losses of its views and
keeps the views apart; MV-VSE trains them between two bounds.
"""

from __future__ import annotations

from torch import Tensor

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, MVVSEConfig
from raytrain.encoders.regions import LinearViews, RegionViews
from raytrain.losses.orthogonality import mean_overlap
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import image_views, text_encoder


class MVVSE(Method):
    """The method: captions are queries, images the gallery; the best view of an image is its score."""

    monotone = True

    def __init__(self, encoder: EncoderConfig, config: MVVSEConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        pool = "max" if config.region_pooling == "max" else encoder.pooling
        self.image: LinearViews | RegionViews
        if config.view_layer == "linear":
            self.image = LinearViews(inputs.region_features, encoder.dim, config.views, pool, encoder.gpo_dim)
        else:
            self.image = image_views(encoder, inputs, config.views, pool=pool)
        self.text = text_encoder(encoder, inputs)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self.text(batch["text"], batch["text_mask"])  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, K, D)."""
        return self.image(batch["regions"], batch["region_mask"])  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, K, D) -> (Q, G)."""
        return similarity.view_similarity(query, gallery).amax(-1)

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        """(N, K, D), (G, K, D) -> (N, G): each view of an item asks like a caption; the mean over its views."""
        by_view = self.similarity(items.flatten(0, 1), others)
        return by_view.view(*items.shape[:2], len(others)).mean(1)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, D) or (Q, K, D), (G, K, D) -> (Q, G, 2) closest views; None at K = 1."""
        if self.config.views == 1:
            return None
        return similarity.closest_elements(query if query.ndim == 3 else query[:, None], gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is w times the upper bound plus 1 - w times the lower."""
        config, context = self.config, context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        negatives = batch_negatives(context.gather(batch["image_id"]), config.same_image)
        form = "mean" if context.epoch < config.mean_warmup_epochs else config.bounds
        by_view = similarity.view_similarity(query, gallery).permute(2, 0, 1)
        upper, lower = losses.multi_view_bounds(by_view, negatives, config.margin, form, config.smooth_tau)
        return {
            "loss": config.upper_weight * upper + (1 - config.upper_weight) * lower,
            "upper_bound": upper.detach(),
            "lower_bound": lower.detach(),
            "view_overlap": mean_overlap(gallery),
        }
