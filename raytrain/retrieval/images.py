"""Images that are in no table as the batches that a run's model reads, prepared as `data encode` and training do."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import torch
from torch import Tensor

from raytrain.config import RunConfig, TransformerImages
from raytrain.data.images import MAX_PIXELS, decode, target_pad, upright_rgb
from raytrain.data.load.image_features import ImageFeatures, global_region
from raytrain.data.load.readers import Batch
from raytrain.data.table.description import Feature
from raytrain.encoders.images import ImageEncoder, VisionBackbone, load_image_encoder
from raytrain.errors import DataError, Problem, UsageError
from raytrain.retrieval.backbones import backbone_of, check_backbone

if TYPE_CHECKING:
    from PIL.Image import Image

Picture: TypeAlias = "str | os.PathLike[str] | bytes | Image"
"""A file, the bytes of one, or an image of Pillow."""
FIX = "Give another JPEG, PNG or WEBP file."


def open_picture(picture: Picture) -> Image:
    """The picture in RGB, upright, transparent parts on white.

    Raises:
        DataError: it is missing, of another format, broken, or has more than MAX_PIXELS pixels.
    """
    if isinstance(picture, (str, os.PathLike)):
        return decode(Path(picture).expanduser(), fix=FIX)
    if isinstance(picture, bytes):
        return decode(picture, name="image of bytes", fix=FIX)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        what = f"{width} x {height} pixels, at most {MAX_PIXELS:,} allowed"
        raise DataError(Problem("image", None, what, FIX))
    return upright_rgb(picture)


class ImageInput(Protocol):
    """RGB images -> the keys "regions" and "region_mask" of a batch.

    Attributes:
        notes: what is worth knowing of how it prepares images.
    """

    notes: list[str]

    def read(self, images: Sequence[Image]) -> Batch: ...


def image_input(
    config: RunConfig, features: Mapping[str, Feature], backbone: VisionBackbone | None, device: torch.device
) -> ImageInput:
    """What prepares images as a run reads them.

    Args:
        features: those that the run was trained on, by name.
        backbone: that trained with the method; None where the run reads features.
        device: of a frozen backbone.
    """
    image, which = config.encoder.image, config.data.regions
    if isinstance(image, TransformerImages):
        assert backbone is not None
        return TrainedImages(backbone.preprocess, 1 if which == "global" else backbone.regions, image.target_pad)
    read = ImageFeatures.of(features, config.data.image_feature_names, which, "the run")
    return FrozenImages(read, device)


class TrainedImages:
    """Images for a backbone that trained with the method: their pixels.

    Args:
        prepare: RGB image -> (3, H, W) pixels.
        regions: R that the method sees.
        pad: ratio of `target_pad`; None for no padding.
    """

    def __init__(self, prepare: Callable[[Image], Tensor], regions: int, pad: float | None) -> None:
        self.prepare, self.regions, self.pad = prepare, regions, pad
        self.notes: list[str] = []

    def read(self, images: Sequence[Image]) -> Batch:
        pixels = torch.stack([self.prepare(_padded(image, self.pad)) for image in images])
        return {"regions": pixels, "region_mask": torch.ones(len(images), self.regions, dtype=torch.bool)}


class FrozenImages:
    """Images as features of the frozen backbones that made those of a table, which are loaded when they are needed.

    Features are rounded to the type in which the table stores them, as those of the table are.

    Args:
        features: that the run was trained on.
        device: of the backbones.
    """

    def __init__(self, features: ImageFeatures, device: torch.device) -> None:
        self.features, self.device = features, device
        self.encoders: list[ImageEncoder] = []
        self.notes: list[str] = []

    def read(self, images: Sequence[Image]) -> Batch:
        """The batch of these images.

        Raises:
            UsageError: `data encode` did not make the features, or a backbone cannot be loaded.
            RefusedError: a backbone has other weights now.
        """
        self.encoders = self.encoders or [self._load(array) for array in self.features.arrays]
        parts = [
            self._encoded(images, encoder, array)
            for encoder, array in zip(self.encoders, self.features.arrays, strict=True)
        ]
        regions = torch.cat(parts, 2)
        return {"regions": regions, "region_mask": torch.ones(*regions.shape[:2], dtype=torch.bool)}

    def _encoded(self, images: Sequence[Image], encoder: ImageEncoder, array: Feature) -> Tensor:
        """(B, R, F) features of one backbone."""
        pad = array.encoder.get("target_pad")
        pixels = torch.stack([encoder.preprocess(_padded(image, pad)) for image in images])
        stored: torch.dtype = getattr(torch, array.dtype)
        regions = encoder(pixels.to(self.device)).to(stored).float().clone()
        if self.features.which == "global":
            place = global_region(array)
            assert place is not None
            regions = regions[:, place : place + 1]
        return regions

    def _load(self, array: Feature) -> ImageEncoder:
        name = backbone_of(array)
        if name is None:
            made_by = array.encoder.get("backbone", "unknown")
            raise UsageError(
                f"no backbone here makes the features '{array.name}' of an image (they are: {made_by}); search "
                "by texts, or by the table's own images, which have features"
            )
        encoder = load_image_encoder(name).to(self.device)
        self.notes += check_backbone(array, encoder.facts)
        return encoder


def _padded(image: Image, ratio: float | None) -> Image:
    return image if ratio is None else target_pad(image, ratio)
