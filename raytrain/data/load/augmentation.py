"""Augmentation of images in training, by numbers drawn for the whole batch: a resumed run sees the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

NARROWEST, WIDEST = math.log(3 / 4), math.log(4 / 3)
"""Logarithms of width / height of a crop, as far as the image allows."""


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop, mirror image, and colour.

    Args:
        crop: least share of an image's area that a crop keeps; 1 for no crops. Its shape is between 3:4 and 4:3.
        flip: whether half of the images are mirrored.
        colour: largest relative change of brightness, contrast and saturation; 0 for none.
    """

    crop: float = 1.0
    flip: bool = False
    colour: float = 0.0

    @property
    def draws(self) -> int:
        """Uniform numbers per image that it takes."""
        return 8 if self.crop < 1 or self.flip or self.colour else 0

    def __call__(self, image: Image, draws: Sequence[float]) -> Image:
        """The RGB image, augmented; what prepares it for a model resizes it afterwards.

        Args:
            draws: numbers in [0, 1): area, shape, place (2), mirror, brightness, contrast, saturation.
        """
        from PIL import ImageEnhance, ImageOps

        area, shape, left, top, mirror, *changes = draws
        if self.crop < 1:
            image = image.crop(self._box(image.size, area, shape, left, top))
        if self.flip and mirror < 0.5:
            image = ImageOps.mirror(image)
        if self.colour:
            enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
            for enhancer, change in zip(enhancers, changes, strict=True):
                image = enhancer(image).enhance(1 + self.colour * (2 * change - 1))
        return image

    def _box(
        self, size: tuple[int, int], area: float, shape: float, left: float, top: float
    ) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge of the crop, in pixels."""
        pixels = size[0] * size[1] * (self.crop + area * (1 - self.crop))
        ratio = math.exp(NARROWEST + shape * (WIDEST - NARROWEST))
        width = max(1, min(size[0], round(math.sqrt(pixels * ratio))))
        height = max(1, min(size[1], round(math.sqrt(pixels / ratio))))
        x, y = int(left * (size[0] - width + 1)), int(top * (size[1] - height + 1))
        return x, y, x + width, y + height
