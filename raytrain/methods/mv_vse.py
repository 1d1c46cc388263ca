"""MV-VSE: K views of an image against one vector of a caption, without a constraint between views (IJCAI 2022).

Li et al., "Multi-View Visual Semantic Embedding". It is what DVSE grew from: DVSE weights the losses of its views and
keeps the views apart; MV-VSE trains them between two bounds.
"""

from __future__ import annotations

from torch import Tensor

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, MVVSEConfig
from raytrain.encoders.regions import LinearViews
from raytrain.losses.orthogonality import mean_overlap
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.branches import image_views, text_encoder
from raytrain.methods.views import ViewsMethod


class MVVSE(ViewsMethod):
    """The method: captions are queries, images the gallery; the best view of an image is its score."""

    def __init__(self, encoder: EncoderConfig, config: MVVSEConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        pool = "max" if config.region_pooling == "max" else encoder.pooling
        if config.view_layer == "linear":
            self.image = LinearViews(inputs.region_features, encoder.dim, config.views, pool, encoder.gpo_dim)
        else:
            self.image = image_views(encoder, inputs, config.views, pool=pool)
        self.text = text_encoder(encoder, inputs)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, K, D) -> (Q, G)."""
        return similarity.view_similarity(query, gallery).amax(-1)

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
