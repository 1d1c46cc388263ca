"""A method over an image backbone that trains with it: pixels in, regions of the backbone to the method."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from raytrain.config import TransformerImages
from raytrain.encoders.images import VisionBackbone
from raytrain.methods.base import Batch, Method, StepContext, layer_scales


class TrainedBackbone(Method):
    """Any method, over batches of images instead of their features.

    In a batch, regions and reference are (B, 3, H, W) pixels; region_mask and reference_mask (B, R) mask the regions of
    the backbone.

    Args:
        method: over regions of the backbone's width.
        backbone: pixels -> (B, R, F) regions.
        config: of the backbone; its learning rates.
        which: "all" regions, or only the "global" one.
    """

    def __init__(self, method: Method, backbone: VisionBackbone, config: TransformerImages, which: str = "all") -> None:
        super().__init__()
        self.method, self.backbone, self.which = method, backbone, which
        self.prefix = "method."
        self.lr_scales = {
            **{f"method.{start}": scale for start, scale in method.lr_scales.items()},
            **layer_scales(backbone, "backbone.", config.lr_scale, config.layer_decay),
        }
        self.noise_shape, self.local_features = method.noise_shape, method.local_features
        self.monotone, self.texts_once, self.mixes_rows = method.monotone, method.texts_once, method.mixes_rows
        self.averaged = method.averaged

    @property
    def over_features(self) -> Method:
        return self.method

    def compiled_modules(self) -> Iterator[nn.Module]:
        yield self.backbone
        yield from self.method.compiled_modules()

    def encode_query(self, batch: Batch) -> Tensor:
        return self.method.encode_query(self.with_regions(batch))

    def encode_gallery(self, batch: Batch) -> Tensor:
        return self.method.encode_gallery(self.with_regions(batch))

    def uncertainty(self, batch: Batch) -> Tensor | None:
        return self.method.uncertainty(self.with_regions(batch))

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        return self.method.pair_cost(query, gallery)

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return self.method.similarity(query, gallery)

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        return self.method.item_similarity(items, others)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        return self.method.matched_views(query, gallery)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = self.method(self.with_regions(batch), context)
        return losses

    def with_regions(self, batch: Batch) -> Batch:
        """The batch with (B, R, F) regions in place of pixels."""
        replaced = dict(batch)
        for name in ("regions", "reference"):
            if name in batch:
                regions = self.backbone(batch[name])
                replaced[name] = regions[:, -1:] if self.which == "global" else regions
        return replaced
