"""PCME: images and captions as Gaussians, matched by samples of both (Chun et al., CVPR 2021).

Letters: B pairs in the global batch, J samples, D dimensions.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import BiGRUText, EncoderConfig, PCMEConfig
from raytrain.encoders.gaussian_heads import GaussianHead
from raytrain.encoders.sets import GridSets
from raytrain.losses.triplet import batch_positives
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import image_head, text_sets

TEST_SEED = 0
"""Seed of the noise that items are sampled with at test time; the same in every run."""


class Samples(NamedTuple):
    """The items of one side: mean (B, D), L2-normalised, log_sigma (B, D), and samples (B, J, D)."""

    mean: Tensor
    log_sigma: Tensor
    samples: Tensor


class PCME(Method):
    """The method: captions are queries, images the gallery.

    Training draws samples with the noise of the batch. At test time all items of a side share J noise vectors, which
    are drawn once with a fixed seed: an embedding depends on its item only.
    """

    def __init__(self, encoder: EncoderConfig, config: PCMEConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.monotone = config.search_by != "match_probability"
        self.noise_shape = (2, config.samples, encoder.dim)  # captions, images

        def head(features: int, rest: Literal["mean", "gru"] = "mean") -> GaussianHead:
            return GaussianHead(features, encoder.dim, config.dropout, rest, config.log_sigma_start)

        regions, words = inputs.region_features, isinstance(encoder.text, BiGRUText)
        self.image = GridSets(regions, encoder.dim, head(regions), config.dropout, image_head(encoder, "linear"))
        self.text = text_sets(
            encoder, inputs, lambda features: head(features, config.text_sigma if words else "mean"), config.dropout,
            config.text_global,
        )  # fmt: skip
        self.match_scale = nn.Parameter(torch.tensor(config.match_scale))
        self.match_shift = nn.Parameter(torch.tensor(config.match_shift))
        if config.search_by != "mean":
            drawn = torch.randn(self.noise_shape, generator=torch.Generator().manual_seed(TEST_SEED))
            self.register_buffer("test_noise", drawn)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D), or (B, J, D) where samples are compared pair by pair."""
        return self._embedding(0, self.text(batch["text"], batch["text_mask"]))

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """(B, T[, F]) captions -> (B,) mean standard deviation."""
        _, log_sigma = self.text(batch["text"], batch["text_mask"])
        return log_sigma[:, 0].exp().mean(-1)  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D), or (B, J, D) where samples are compared pair by pair."""
        return self._embedding(1, self.image(batch["regions"], batch["region_mask"]))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D), (G, D) -> (Q, G) inner products; (Q, J, D), (G, J, D) -> (Q, G) log of the match probability."""
        if self.config.search_by == "match_probability":
            return similarity.log_match_probability(query, gallery, self.match_scale, self.match_shift)
        return similarity.cosine(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is 2 match + weighted uniformity + weighted vib.

        Both directions have the same matching loss, so it counts twice. "text_sigma" and "image_sigma" are means over
        items and dimensions.
        """
        config, context = self.config, context or StepContext()
        text = self._sampled(0, self.text(batch["text"], batch["text_mask"]), batch, context)
        image = self._sampled(1, self.image(batch["regions"], batch["region_mask"]), batch, context)
        matched = batch_positives(context.gather(batch["image_id"]), config.positives)
        logits = similarity.match_logits(text.samples, image.samples, self.match_scale, self.match_shift)
        match = losses.match_nll(logits, matched)
        total, parts = 2 * match, {"match": match.detach()}
        if config.uniformity_weight:
            uniformity = losses.uniformity(torch.cat([text.samples.flatten(0, 1), image.samples.flatten(0, 1)]))
            total, parts["uniformity"] = total + config.uniformity_weight * uniformity, uniformity.detach()
        if config.vib_weight:
            factor = 2.0 if config.vib_form == "exact" else 1.0  # log variance = 2 log sigma
            vib = torch.stack([losses.divergence(side.mean, factor * side.log_sigma) for side in (text, image)]).sum()
            total, parts["vib"] = total + config.vib_weight * vib, vib.detach()
        return {
            "loss": total,
            **parts,
            "text_sigma": text.log_sigma.detach().exp().mean(),
            "image_sigma": image.log_sigma.detach().exp().mean(),
            "match_scale": self.match_scale.detach().clone(),
            "match_shift": self.match_shift.detach().clone(),
        }

    def _sampled(self, side: int, gaussian: tuple[Tensor, Tensor], batch: Batch, context: StepContext) -> Samples:
        """The items of all ranks with their samples, from (B / W, 1, D) mean and log sigma of this rank."""
        mean, log_sigma = (part.float() for part in gaussian)
        if "noise" in batch:
            noise = batch["noise"][:, side].to(mean)
        else:
            noise = torch.randn(len(mean), *self.noise_shape[1:], device=mean.device)
        samples = mean + noise * log_sigma.exp()
        everywhere = context.gather(torch.cat([mean, log_sigma, samples], 1))
        return Samples(everywhere[:, 0], everywhere[:, 1], everywhere[:, 2:])

    def _embedding(self, side: int, gaussian: tuple[Tensor, Tensor]) -> Tensor:
        """The embedding that search compares, (B, D) or (B, J, D), from (B, 1, D) mean and log sigma."""
        mean, log_sigma = gaussian
        if self.config.search_by == "mean":
            return mean[:, 0]
        noise: Tensor = self.get_buffer("test_noise")[side]
        samples = mean + noise * log_sigma.exp()
        # the mean of the inner products of J x J pairs is the inner product of the mean samples
        return samples if self.config.search_by == "match_probability" else samples.mean(1)
