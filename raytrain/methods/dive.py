"""DivE: images and captions as sets of K embeddings each (Kim, Kim and Kwak, CVPR 2023).

Losses and modules follow the official code where it is more precise than the paper, or differs (docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from raytrain import losses, similarity
from raytrain.config import DivEConfig, EncoderConfig, MaxMatchConfig
from raytrain.config.methods.dive import SetsPart
from raytrain.distributed import OwnRows
from raytrain.encoders.pie_net import PIENet
from raytrain.encoders.set_prediction import SetPrediction
from raytrain.encoders.sets import RegionSets
from raytrain.methods.base import Batch, Inputs, Method, StepContext, collapsed
from raytrain.methods.branches import image_head, text_sets
from raytrain.methods.contrast import Contrast
from raytrain.methods.set_discrepancy import set_discrepancy
from raytrain.similarity.precision import l2_normalize

Sides = Sequence[Sequence[Tensor]]
"""What the heads return for the captions and for the images of the global batch: elements, residuals, and any more."""


class DivE(Method):
    """The method: captions are queries, images the gallery; a batch holds images with all their captions."""

    config: DivEConfig | MaxMatchConfig

    def __init__(self, encoder: EncoderConfig, config: DivEConfig | MaxMatchConfig, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.monotone = config.similarity != "match_probability"
        self.image = RegionSets(
            inputs.region_features,
            encoder.dim,
            self.head(encoder.dim, encoder.dim),
            config.dropout,
            image_head(encoder),
        )
        self.text = text_sets(
            encoder, inputs, lambda features: self.head(features, encoder.dim, positions=True),
            config.dropout, config.text_global, config.text_global_linear,
        )  # fmt: skip
        self.contrast = Contrast(config)
        self.lr_scales = {"image.": config.image_lr_scale, "text.sets.": config.set_lr_scale}
        if isinstance(config, DivEConfig) and config.similarity == "match_probability":
            # buffers reproduce the official code, which moves the two to the GPU in a way that leaves them untrained
            for name, value in (("match_scale", 1.0), ("match_shift", 0.0)):
                if config.match_trainable:
                    self.register_parameter(name, nn.Parameter(torch.tensor(value)))
                else:
                    self.register_buffer(name, torch.tensor(value))

    def head(self, features: int, dim: int, positions: bool = False) -> nn.Module:
        """What makes a set of an item's local features; arguments as in `set_head`."""
        return set_head(self.config, features=features, dim=dim, positions=positions)

    def encode_query(self, batch: Batch) -> Tensor:
        """(S, T[, F]) captions -> (S, K, D)."""
        return self.text(batch["text"], batch["text_mask"])[0]  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, K, D)."""
        return self.image(batch["regions"], batch["region_mask"])[0]  # type: ignore[no-any-return]

    def image_attention(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, K, R) attention of each element to the regions; a row sums to 1 over the real ones.

        For features on a grid with a global region (`Inputs.global_region`), the other R - 1 are its cells, row by row.
        """
        return self.image.attention(batch["regions"], batch["region_mask"])

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, K, D), (G, K, D) -> (Q, G)."""
        kind = self.config.similarity
        if kind == "smooth_chamfer":
            return similarity.smooth_chamfer(query, gallery, self.config.alpha)
        if kind == "chamfer":
            return similarity.chamfer(query, gallery)
        if kind == "max":
            return similarity.max_similarity(query, gallery)
        scale, shift = cast(Tensor, self.match_scale), cast(Tensor, self.match_shift)
        return similarity.match_probability(query, gallery, scale, shift)

    def training_scores(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, K, D), (G, K, D) -> (Q, G) scores that the loss of pairs compares."""
        return self.similarity(query, gallery)

    def further_losses(self, scores: Tensor, positives: Tensor, sides: Sides) -> dict[str, tuple[float, Tensor]]:
        """{name: (weight, () loss)} beyond the loss of pairs, the discrepancy and the diversity.

        Args:
            scores: (S, B) of captions against images, as in training.
            positives: (S, B) bool.
            sides: of captions and of images.
        """
        return {}

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, K, D), (G, K, D) -> (Q, G, 2) closest elements; None at K = 1 and of match_probability, a mean."""
        if self.config.views == 1 or self.config.similarity == "match_probability":
            return None
        return similarity.closest_elements(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training losses over the global batch; "loss" is that of pairs + weighted discrepancy and diversity.

        "collapsed" is 1 where the triplet loss is that of equal scores, twice the margin to within 2 %, else 0.
        """
        config, context = self.config, context or StepContext()
        texts, images = self.text(batch["text"], batch["text_mask"]), self.image(batch["regions"], batch["region_mask"])
        sides = [[context.gather(part.float()) for part in side] for side in (texts, images)]
        query, gallery = (side[0] for side in sides)
        caption_of = context.gather(batch["image_id"])
        item = context.gather(batch.get("item_id", batch["image_id"]))

        mining = "mean" if context.epoch < config.mean_warmup_epochs else config.mining
        positives = caption_of[:, None] == item[None, :]
        pairs = None
        if "image_row" in batch:
            image_row = context.gather(batch["image_row"])
            pairs = torch.arange(len(image_row), device=image_row.device), image_row
        captions, pictures = OwnRows(query), OwnRows(gallery)
        scores = captions.gather(self.training_scores(captions.own, pictures.all))
        pair_loss, parts = self.contrast(
            lambda: losses.set_triplet(scores, positives, config.margin, mining, pairs),
            lambda scale: losses.set_info_nce(scores, positives, scale, pairs),
        )
        if "triplet" in parts:
            parts["collapsed"] = collapsed(parts["triplet"], config.margin, mining == "hardest")
        discrepancy = set_discrepancy(pictures, captions)
        spread = [side[1 if config.diversity_of == "residual" else 0] for side in sides]
        diverse = losses.exponential_diversity if config.diversity == "exponential" else losses.gram_diversity
        diversity = sum((diverse(l2_normalize(part)) for part in spread), pair_loss.new_zeros(()))

        total = pair_loss + config.mmd_weight * discrepancy + config.diversity_weight * diversity
        further = self.further_losses(scores, positives, sides)
        return {
            "loss": total + sum((weight * part for weight, part in further.values()), total.new_zeros(())),
            **parts,
            "discrepancy": discrepancy.detach(),
            "diversity": diversity.detach(),
            **{name: part.detach() for name, (_, part) in further.items()},
        }


def set_head(config: SetsPart, *, features: int, dim: int, positions: bool = False) -> nn.Module:
    """The head that makes a set of K elements: slots, Transformer or PIE-Net, as `config.aggregator` says.

    Args:
        config: its kind and sizes.
        features: F, size of the local features.
        dim: D, size of the global feature and of the elements.
        positions: whether slots and Transformer read the order of the local features; PIE-Net never does.

    Returns:
        A module that maps (B, n, F) local features, their (B, n) mask and (B, D) global features to (B, K, D) elements
        and (B, K, D) residuals.
    """
    if config.aggregator == "pie_net":
        return PIENet(features, dim, elements=config.views, dropout=config.dropout)
    return SetPrediction(
        features,
        dim,
        elements=config.views,
        iterations=config.iterations,
        shared=config.shared_block,
        attention=config.aggregator,
        mask_mode=config.mask_mode,
        slots=config.slots,
        positions=positions,
        place_scale=config.place_scale,
        heads=config.heads,
        head_dim=config.head_dim,
        dropout=config.dropout,
    )
