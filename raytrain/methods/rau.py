"""RAU, ranking-aware uncertainty: composed queries and targets as Gaussians in training (arXiv 2308.08131).

The full text of the paper could not be read and no code is public. Its abstract fixes what is implemented here
(in-sample and cross-sample uncertainty, distribution regularisation, blocks that predict mean and variance,
deterministic features at test time); each choice that it leaves open is a switch of RAUConfig.

Letters as in raytrain/methods/composed.py, and n blocks; a batch has 2 n rows of noise per query, source first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, RAUConfig
from raytrain.encoders.gaussian import Gaussians, UncertaintyBlocks
from raytrain.losses.contrastive import further_positives
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.composed import Composed
from raytrain.similarity.precision import in_float32, l2_normalize


class RAU(Composed):
    """The method. It has blocks only where a loss needs them; embeddings at test time are deterministic."""

    config: RAUConfig

    def __init__(self, encoder: EncoderConfig, config: RAUConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)
        both = config.csu_weight > 0 or config.dr_weight > 0 or (config.isu_weight > 0 and config.isu_sides == "both")
        self.source_blocks: UncertaintyBlocks | None = None
        self.target_blocks: UncertaintyBlocks | None = None  # None where the blocks of the source serve targets too
        self.for_targets = both
        if both or config.isu_weight > 0:
            self.source_blocks = UncertaintyBlocks(encoder.dim, config.blocks, config.wiring)
            self.first_noise = self.noise_shape[0] if self.noise_shape else 0
            self.noise_shape = (self.first_noise + 2 * config.blocks, encoder.dim)
        if both and not config.shared_blocks:
            self.target_blocks = UncertaintyBlocks(encoder.dim, config.blocks, config.wiring)

    def encode_query(self, batch: Batch) -> Tensor:
        """Reference (B, R, F) and text (B, T[, F]) -> (B, D), L2-normalised."""
        return self._embedding(self.compose(batch), self.source_blocks)

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, D), L2-normalised."""
        return self._embedding(super().encode_gallery(batch), self._of_targets())

    def uncertainty(self, batch: Batch) -> Tensor | None:
        """(B,) mean standard deviation in the last block of the source; None without blocks."""
        if self.source_blocks is None:
            return None
        features = self.compose(batch)
        no_noise = features.new_zeros(self.config.blocks, *features.shape)
        gaussians: Gaussians = self.source_blocks(features, no_noise)
        return (gaussians.log_variance[-1] / 2).exp().mean(-1)

    def _of_targets(self) -> UncertaintyBlocks | None:
        """The blocks of targets; None where no loss needs them."""
        return self.source_blocks if self.for_targets and self.config.shared_blocks else self.target_blocks

    def _embedding(self, features: Tensor, blocks: UncertaintyBlocks | None) -> Tensor:
        """(B, D) features, or the mean of the last block without noise; L2-normalised."""
        if self.config.test_features == "mean" and blocks is not None:
            features = blocks(features, features.new_zeros(self.config.blocks, *features.shape)).mean[-1]
        return l2_normalize(features, dim=-1)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is their weighted sum, its parts are unweighted."""
        config, context = self.config, context or StepContext()
        source, target = self.compose(batch).float(), super().encode_gallery(batch).float()
        query, gallery = context.gather(l2_normalize(source, dim=-1)), context.gather(target)
        ignored, scale = self.ignored(batch, context), self.scale()
        from_source = to_target = None
        if self.source_blocks is not None:
            noise = batch.get("noise")
            from_source = self._blocks(self.source_blocks, source, noise, self.first_noise, context)
            if (of_targets := self._of_targets()) is not None:
                to_target = self._blocks(of_targets, target, noise, self.first_noise + config.blocks, context)
        base = self.base_loss(query, gallery, ignored, batch, context)
        total, parts = config.base_weight * base, {"base": base.detach()}
        if from_source is None:
            return {"loss": total, **parts}
        of_both = config.csu_weight > 0 or (config.isu_weight > 0 and config.isu_sides == "both")
        drawn = _cosines(from_source.sample, to_target.sample) if to_target is not None and of_both else None
        log_shares = None if drawn is None else losses.log_shares(drawn, scale, ignored)
        if config.isu_weight:
            of_samples = log_shares if config.isu_sides == "both" else None
            if of_samples is None:
                of_samples = losses.log_shares(_cosines(from_source.sample, gallery), scale, ignored)
            isu = -of_samples.diagonal(dim1=1, dim2=2).mean()  # InfoNCE, by block and query
            total, parts["isu"] = total + config.isu_weight * isu, isu.detach()
        if config.csu_weight and drawn is not None and log_shares is not None:
            masked_by = similarity.cosine(query, gallery)[None] if config.csu_mask == "deterministic" else drawn
            csu, further = self._cross_sample(log_shares, masked_by, ignored, context)
            total = total + config.csu_weight * csu
            parts |= {"csu": csu.detach(), "further_positives": further}
        if config.dr_weight and to_target is not None:
            chosen = slice(None) if config.dr_blocks == "all" else slice(-1, None)
            dr = self._distance(
                from_source.mean[chosen],
                from_source.log_variance[chosen],
                to_target.mean[chosen],
                to_target.log_variance[chosen],
            ).mean()
            total, parts["dr"] = total + config.dr_weight * dr, dr.detach()
        return {"loss": total, **parts, "sigma": (from_source.log_variance.detach() / 2).exp().mean()}

    def _distance(self, mean: Tensor, log_variance: Tensor, mean_to: Tensor, log_variance_to: Tensor) -> Tensor:
        """(n, B) distances of Gaussians whose means and log variances are (n, B, D)."""
        given = mean, log_variance, mean_to, log_variance_to
        if self.config.dr_distance == "wasserstein":
            return losses.wasserstein_loss(*given, root=self.config.dr_root)
        others = {
            "symmetric_kl": losses.symmetric_divergence,
            "bhattacharyya": losses.bhattacharyya,
            "mmd": losses.gaussian_mmd,
        }
        return others[self.config.dr_distance](*given)

    def _blocks(
        self, blocks: UncertaintyBlocks, features: Tensor, noise: Tensor | None, first: int, context: StepContext
    ) -> Gaussians:
        """The Gaussians of all ranks, each part (n, B, D), from the (B / W, D) features of this rank."""
        count = self.config.blocks
        block_noise = None if noise is None else noise[:, first : first + count].transpose(0, 1)
        here: Gaussians = blocks(features, block_noise)
        return here.gathered(context.gather)

    def _cross_sample(
        self, log_shares: Tensor, cosines: Tensor, ignored: Tensor | None, context: StepContext
    ) -> tuple[Tensor, Tensor]:
        """Mean over blocks of the cross-sample loss, and the share of further positives.

        Args:
            log_shares: (n, B, B) `losses.log_shares` of each block's samples.
            cosines: (1, B, B) or (n, B, B), from which positives are told.
        """
        config = self.config
        if context.epoch >= config.theta_warmup_epochs:
            masks = [losses.likely_positives(block, config.theta, config.theta_mode) for block in cosines]
        else:  # at first similarities carry no information
            masks = [torch.eye(cosines.shape[-1], dtype=torch.bool, device=cosines.device)]
        positives = torch.stack(masks)
        share = torch.stack([further_positives(block, ignored) for block in masks]).mean()
        return losses.cross_sample_of(log_shares, positives, config.csu_form, ignored), share


@in_float32
def _cosines(source: Tensor, target: Tensor) -> Tensor:
    """(n, B, D) and (n, B, D) or (B, D) -> (n, B, B) cosines."""
    return l2_normalize(source, dim=-1) @ l2_normalize(target, dim=-1).transpose(-2, -1)
