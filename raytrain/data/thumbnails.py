"""Small pictures for pages; as data URIs, a page is one file and asks no server for anything."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 96
QUALITY = 80


def jpeg(image: Image, side: int) -> bytes:
    """A JPEG of an RGB image that fits a square; small images keep their size.

    Args:
        side: of the square, in pixels.
    """
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def thumbnail(image: Image, side: int = SIDE) -> str:
    """`jpeg` as a data URI: "data:image/jpeg;base64,..."."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(image, side)).decode()}"
