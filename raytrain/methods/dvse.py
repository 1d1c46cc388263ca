"""DVSE: K visual sub-embeddings per image against one vector per caption (arXiv 2309.08154; TMM 2025).

The full text of the paper could not be read and no code is public. Its abstracts fix what is implemented here; each
choice that they leave open is a switch of DVSEConfig, described in docs/methods.md. This reading is called dvse-r1.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import DVSEConfig, EncoderConfig
from raytrain.losses.orthogonality import mean_overlap, sibling_cosine
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.branches import image_views, text_encoder
from raytrain.methods.contrast import Contrast
from raytrain.methods.views import ViewsMethod


class DVSE(ViewsMethod):
    """The method: captions are queries, images the gallery. At K = 1 without extra losses it is VSE-infinity."""

    def __init__(self, encoder: EncoderConfig, config: DVSEConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image = image_views(encoder, inputs, config.views, config.view_pooling)
        self.text = text_encoder(encoder, inputs)
        self.contrast = Contrast(config)
        self.view_logits = nn.Parameter(torch.zeros(config.views)) if config.score == "learned" else None

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, K, D) -> (Q, G)."""
        return self._pool(similarity.view_similarity(query, gallery))

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, D) or (Q, K, D), (G, K, D) -> (Q, G, 2) closest views; None at K = 1 and of mean and learned scores."""
        return super().matched_views(query, gallery) if self.config.score in ("max", "log_mean_exp") else None

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is L_vaw + lambda_o L_orth [+ the fused triplet]."""
        config, context = self.config, context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        image_id = context.gather(batch["image_id"])
        negatives = batch_negatives(image_id, config.same_image)
        hardest = context.epoch >= config.mean_warmup_epochs

        by_view = similarity.view_similarity(query, gallery)  # (B, B, K)
        weighted_views = partial(
            losses.variance_weighted_triplet,
            by_view.permute(2, 0, 1),
            negatives,
            config.margin,
            hardest,
            weight_fn=config.weight_fn,
            tau=config.weight_tau,
            entropy_tau=config.entropy_tau,
            weight_gradient=config.weight_gradient,
            variance=config.variance,
            variance_over=config.variance_over,
            kendall_over_views=config.kendall_over_views,
        )
        count = len(query)
        weighted, view_parts = self.contrast(
            weighted_views, lambda scale: weighted_views(info_nce_scale=scale) / (2 * count), count
        )
        gamma = sibling_cosine(query, image_id) if config.orth_penalty == "margin" else 0.0
        overlap = mean_overlap(gallery)
        orth = losses.view_orthogonality(gallery, config.orth_penalty, gamma)
        total = weighted + config.orth_weight * self._orth_coefficient(context, overlap) * orth
        parts = {
            **{name if name == "temperature" else f"view_{name}": part for name, part in view_parts.items()},
            "orthogonality": orth.detach(),
            "view_overlap": overlap,
        }
        if config.fused_weight:
            pooled = self._pool(by_view)
            fused, fused_parts = self.contrast(
                lambda: losses.triplet_loss(pooled, negatives, config.margin, hardest),
                lambda scale: losses.info_nce(pooled, scale, symmetric=True, ignored=~negatives),
                count,
            )
            total = total + config.fused_weight * fused
            parts |= {f"fused_{name}": part for name, part in fused_parts.items() if name != "temperature"}
        return {"loss": total, **parts}

    def _pool(self, by_view: Tensor) -> Tensor:
        weights = None if self.view_logits is None else self.view_logits.softmax(0)
        return similarity.pool_views(by_view, self.config.score, self.config.score_scale, weights)

    def _orth_coefficient(self, context: StepContext, overlap: Tensor) -> Tensor | float:
        """Factor that makes the orthogonal constraint dynamic: the current overlap of the views, or the progress."""
        done = context.epoch / context.num_epochs
        by_schedule: dict[str, Tensor | float] = {
            "adaptive": overlap,
            "constant": 1.0,
            "ramp_up": done,
            "decay": 1 - done,
        }
        return by_schedule[self.config.orth_schedule]
