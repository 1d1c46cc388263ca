"""Small pictures for pages; as data URIs, a page is one file and asks no server for anything."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Form = Literal["jpeg", "webp"]
SIDE = 96
QUALITY = 80


def encoded(image: Image, side: int, form: Form = "jpeg", quality: int = QUALITY) -> bytes:
    """A file of an RGB image that fits a square; small images keep their size.

    Args:
        side: of the square, in pixels.
        form: of the picture. WebP takes about half the bytes of JPEG at this size.
        quality: of the form, from 1 to 100.
    """
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, form.upper(), quality=quality, **({"optimize": True} if form == "jpeg" else {"method": 4}))
    return buffer.getvalue()


def thumbnail(image: Image, side: int = SIDE, form: Form = "jpeg", quality: int = QUALITY) -> str:
    """`encoded` as a data URI: "data:image/jpeg;base64,..."."""
    return f"data:image/{form};base64,{base64.b64encode(encoded(image, side, form, quality)).decode()}"
