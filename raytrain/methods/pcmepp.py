"""PCME++: images and captions as Gaussians, matched by a distance in closed form (Chun, ICLR 2024).

Letters: B pairs in the global batch, D dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, PCMEPPConfig, TransformerText
from raytrain.distributed import rank
from raytrain.encoders.gaussian_heads import RegionLogVariance, TokenLogVariance
from raytrain.encoders.mixed_samples import cutmix, mixup
from raytrain.losses.match_probability import pseudo_share
from raytrain.losses.triplet import batch_positives
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.methods.branches import image_head, image_views, text_encoder
from raytrain.methods.contrast import Temperature


class Items(NamedTuple):
    """The items of one side: mean (B, D), L2-normalised, and log_variance (B, D)."""

    mean: Tensor
    log_variance: Tensor


class PCMEPP(Method):
    """The method: captions are queries, images the gallery. Means are those of VSE-infinity.

    An embedding is (D + 1): the mean and, last, the sum of the variances.
    """

    def __init__(self, encoder: EncoderConfig, config: PCMEPPConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        pool, gpo = encoder.pooling, encoder.gpo_dim
        start, norm = config.log_variance_start, config.variance_norm
        self.image = image_views(encoder, inputs)
        self.image_variance = RegionLogVariance(
            inputs.region_features, encoder.dim, pool, gpo, start, norm, image_head(encoder)
        )
        self.text = text_encoder(encoder, inputs)
        self.text_variance = TokenLogVariance(
            self.text.width, encoder.dim, pool, gpo, start, norm, encoder.text_pool_first
        )
        if not isinstance(encoder.text, TransformerText):  # a transformer that trains has a rate of its own
            self.lr_scales = {"text_variance.": encoder.text.lr_scale}
        self.global_region = inputs.global_region
        if config.mix != "none":
            self.mixes_rows = True
            self.noise_shape = (4,)  # whether an image is mixed, how, how much of it stays, where it is cut
        self.match_scale = nn.Parameter(torch.tensor(config.match_scale))
        self.match_shift = nn.Parameter(torch.tensor(config.match_shift))
        self.temperature = Temperature(config) if config.infonce_weight else None

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D + 1)."""
        return _with_variance(self._texts(batch))

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D + 1)."""
        return _with_variance(self._images(batch))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, D + 1), (G, D + 1) -> (Q, G) minus the closed-form sampled distance."""
        return -similarity.closed_form_sampled_distance(
            query[:, :-1], query[:, -1], gallery[:, :-1], gallery[:, -1]
        )  # fmt: skip

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is 2 match + weighted vib, pseudo and infonce.

        An image that was mixed with another one matches its own captions by the share of it that was kept, and the
        captions of the other one by the rest.

        Both directions have the same matching loss, so it counts twice; pseudo-positives are chosen per direction.
        "text_sigma" and "image_sigma" are means over items and dimensions; "pseudo_positives" is the share of pairs
        that became pseudo-positives, mean of both directions.
        """
        config, context = self.config, context or StepContext()
        batch, kept = self._mixed(batch, context)
        text, image = (
            Items(*context.gather(torch.stack([part.float() for part in side], 1)).unbind(1))
            for side in (self._texts(batch), self._images(batch))
        )
        matched = batch_positives(context.gather(batch["image_id"]), config.positives).float()
        if kept is not None:
            matched = matched * kept + matched.flip(1) * (1 - kept)  # image j was mixed with image B - 1 - j
        scores = self.similarity(_with_variance(text), _with_variance(image))
        logits = self.match_scale * scores + self.match_shift
        match = losses.match_cross_entropy(logits, matched)
        total, parts = 2 * match, {"match": match.detach()}
        if config.vib_weight:
            # mean over dimensions too, as in the released code
            vib = torch.stack([losses.divergence(*side).mean() for side in (text, image)]).sum() / text.mean.shape[1]
            total, parts["vib"] = total + config.vib_weight * vib, vib.detach()
        if config.pseudo_weight:
            directions = [(logits, matched), (logits.T, matched.T)]
            by_direction = [
                losses.match_cross_entropy(rows, losses.pseudo_positives(rows, labels)) for rows, labels in directions
            ]
            pseudo = by_direction[0] + by_direction[1]
            total, parts["pseudo"] = total + config.pseudo_weight * pseudo, pseudo.detach()
            parts["pseudo_positives"] = torch.stack([pseudo_share(*direction) for direction in directions]).mean()
        if self.temperature is not None:
            # half: -d / 2 is the cosine of the means less variances, up to a constant
            nce = losses.info_nce(scores / 2, self.temperature.scale(), symmetric=True, ignored=matched > 0)
            total, parts["infonce"] = total + config.infonce_weight * nce, nce.detach()
            parts |= self.temperature.parts()
        return {
            "loss": total,
            **parts,
            "text_sigma": (text.log_variance.detach() / 2).exp().mean(),
            "image_sigma": (image.log_variance.detach() / 2).exp().mean(),
            "match_scale": self.match_scale.detach().clone(),
            "match_shift": self.match_shift.detach().clone(),
        }

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """(B, T[, F]) captions -> (B,) mean standard deviation."""
        return (self._texts(batch).log_variance / 2).exp().mean(-1)

    def _mixed(self, batch: Batch, context: StepContext) -> tuple[Batch, Tensor | None]:
        """The batch with mixed images, and (B,) the share of each image of the global batch that was kept.

        Image j of the global batch is mixed with image B - 1 - j, so that ranks agree; batches are drawn at random.
        Shares are uniform in [0, 1].
        """
        config = self.config
        if config.mix == "none" or "noise" not in batch:
            return batch, None
        regions, mask = batch["regions"], batch["region_mask"]
        count = len(regions)  # every rank has as many
        own = slice(rank() * count, (rank() + 1) * count)
        other = tuple(context.gather(part).flip(0)[own] for part in (regions, mask))
        chosen, cut, kept, start = torch.special.ndtr(batch["noise"].float()).unbind(1)
        kept = torch.where(chosen < config.mix_share, kept, 1.0)
        by_mixup = mixup((regions, mask), (other[0], other[1]), kept)
        by_cut = cutmix((regions, mask), (other[0], other[1]), kept, start, self.global_region)
        cuts = {"mixup": torch.zeros_like(cut), "cutmix": torch.ones_like(cut), "both": cut}[config.mix] > 0.5
        # an image that stays whole gains no region of the other one
        regions, mask = (
            torch.where((kept < 1).view(-1, *[1] * (part.ndim - 1)), mixed, part)
            for part, mixed in (
                (regions, torch.where(cuts[:, None, None], by_cut.regions, by_mixup.regions)),
                (mask, torch.where(cuts[:, None], by_cut.mask, by_mixup.mask)),
            )
        )
        share = torch.where(cuts, by_cut.kept, by_mixup.kept)
        return {**batch, "regions": regions, "region_mask": mask}, context.gather(share)

    def _texts(self, batch: Batch) -> Items:
        mask = batch["text_mask"]
        states = self.text.states(batch["text"], mask)
        return Items(self.text.embed(states, mask), self.text_variance(states, mask))

    def _images(self, batch: Batch) -> Items:
        regions, mask = batch["regions"], batch["region_mask"]
        return Items(self.image(regions, mask)[:, 0], self.image_variance(regions, mask))


def _with_variance(items: Items) -> Tensor:
    """(B, D + 1) the means and, last, the summed variances."""
    return torch.cat([items.mean, items.log_variance.exp().sum(1, keepdim=True).to(items.mean)], 1)
