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
    return FrozenImages(features[config.data.image_features], which, device)


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
    """Images as features of the frozen backbone that made those of a table, which is loaded when it is needed.

    Features are rounded to the type in which the table stores them, as those of the table are.

    Args:
        feature: of the table that the run was trained on.
        which: "all" regions, or only the "global" one.
        device: of the backbone.
    """

    def __init__(self, feature: Feature, which: str, device: torch.device) -> None:
        self.feature, self.which, self.device = feature, which, device
        self.dtype: torch.dtype = getattr(torch, feature.dtype)
        self.encoder: ImageEncoder | None = None
        self.notes: list[str] = []

    def read(self, images: Sequence[Image]) -> Batch:
        """The batch of these images.

        Raises:
            UsageError: `data encode` did not make the features, or the backbone cannot be loaded.
            RefusedError: the backbone has other weights now.
        """
        encoder = self.encoder or self._load()
        pad = self.feature.encoder.get("target_pad")
        pixels = torch.stack([encoder.preprocess(_padded(image, pad)) for image in images])
        regions = encoder(pixels.to(self.device)).to(self.dtype).float().clone()
        if self.which == "global":
            place = self.feature.encoder["global_index"]
            regions = regions[:, place : place + 1]
        return {"regions": regions, "region_mask": torch.ones(*regions.shape[:2], dtype=torch.bool)}

    def _load(self) -> ImageEncoder:
        name = backbone_of(self.feature)
        if name is None:
            made_by = self.feature.encoder.get("backbone", "unknown")
            raise UsageError(
                f"no backbone here makes the features '{self.feature.name}' of an image (they are: {made_by}); search "
                "by texts, or by the table's own images, which have features"
            )
        self.encoder = load_image_encoder(name).to(self.device)
        self.notes += check_backbone(self.feature, self.encoder.facts)
        return self.encoder


def _padded(image: Image, ratio: float | None) -> Image:
    return image if ratio is None else target_pad(image, ratio)
