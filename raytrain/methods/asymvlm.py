"""AsymVLM, our reading `asymvlm-r1`: a caption is a distribution of directions, an image is a point (Ju et al., 2025).

What is published as a summary: a small head over a vision-language model's embeddings predicts a concentration for the
caption's direction; the image stays deterministic; a von Mises-Fisher or power spherical likelihood of the matching
image, with negatives through the softmax over the batch. Ours: the head's input and size, both directions of the
softmax, the weight of the likelihood itself, and that encoders without a joint space train with the head.

Letters: B pairs in the global batch, T tokens, F features, D dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from raytrain import losses, similarity
from raytrain.config import AsymVLMConfig, EncoderConfig
from raytrain.encoders.regions import RegionViews
from raytrain.encoders.words import Captions
from raytrain.errors import UsageError
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import text_encoder
from raytrain.similarity.precision import l2_normalize

DENSITIES = {"power_spherical": losses.power_spherical, "von_mises_fisher": losses.von_mises_fisher}


class AsymVLM(Method):
    """The method: captions are queries, images the gallery. The direction ranks, the concentration is certainty."""

    monotone = True

    def __init__(self, encoder: EncoderConfig, config: AsymVLMConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.image: RegionViews | None = None
        self.text: Captions | None = None
        if config.space == "frozen":
            if inputs.token_features != inputs.region_features:
                raise UsageError(
                    f"method.space=frozen takes features of one space: images have {inputs.region_features} and token "
                    f"states {inputs.token_features or 'none'}; set method.space=trained, or name features of one model"
                )
            self.dim = width = inputs.region_features
        else:
            self.dim = encoder.dim
            self.image = RegionViews(inputs.region_features, encoder.dim, 1, encoder.pooling, gpo_dim=encoder.gpo_dim)
            self.text = text_encoder(encoder, inputs)
            width = int(self.text.width)
        self.head = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1))
        last = self.head[2]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        # softplus of the bias is the concentration at the start
        nn.init.constant_(last.bias, config.concentration_start + math.log(-math.expm1(-config.concentration_start)))

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D) directions."""
        return self._captions(batch)[0]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D) points, L2-normalised."""
        regions, mask = batch["regions"], batch["region_mask"]
        if self.image is None:
            return l2_normalize(_mean(regions, mask), dim=-1)
        return self.image(regions, mask)[:, 0]  # type: ignore[no-any-return]

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G) cosines."""
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The loss over the global batch: softmax of the log densities in both directions, and the own pair's density.

        Over the images of a caption the normaliser cancels, and its concentration is a temperature of its own; over
        the captions of an image the normaliser counts. "concentration" is its mean over captions.
        """
        config, context = self.config, context or StepContext()
        direction, concentration = self._captions(batch)
        direction, image = context.gather(direction.float()), context.gather(self.encode_gallery(batch).float())
        concentration = context.gather(concentration.float())
        cosines = self.similarity(direction, image)
        log_density = DENSITIES[config.density](cosines, concentration[:, None], self.dim)
        own = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        ignored = ~batch_negatives(context.gather(batch["image_id"]), config.same_image) & ~own
        match = losses.info_nce(log_density, 1.0, symmetric=True, ignored=ignored)
        total, parts = match, {"match": match.detach()}
        if config.likelihood_weight:
            likelihood = -log_density.diagonal().mean() / self.dim
            total, parts["likelihood"] = total + config.likelihood_weight * likelihood, likelihood.detach()
        return {"loss": total, **parts, "concentration": concentration.detach().mean()}

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """(B, T[, F]) captions -> (B,) 1 / concentration."""
        return 1 / self._captions(batch)[1]

    def _captions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, D) directions and (B,) concentrations; the head reads the mean of the token states."""
        mask = batch["text_mask"]
        states = batch["text"] if self.text is None else self.text.states(batch["text"], mask)
        mean = _mean(states, mask)
        direction = l2_normalize(mean, dim=-1) if self.text is None else self.text.embed(states, mask)
        return direction, softplus(self.head(mean).float())[:, 0]


def _mean(rows: Tensor, mask: Tensor) -> Tensor:
    """(B, n, F) and (B, n) bool -> (B, F) mean of the real rows."""
    real = mask.unsqueeze(-1)
    return rows.masked_fill(~real, 0.0).sum(1) / real.sum(1).clamp(min=1)
