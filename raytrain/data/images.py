"""Decoding of untrusted images: allowed formats, size limits, and the padding of long ones."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from raytrain.errors import DataError, Problem, UsageError, pip_install
from raytrain.files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000  # a 192 MB RGB image; a small file can claim far more
MAX_IMAGE_BYTES = 256 * 2**20  # per image from an archive or a store, which is read into memory
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # only to list files; the content decides the format
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
# Pillow warns of images that the lower limit here refuses in a line
warnings.filterwarnings("ignore", "Image size .* pixels. exceeds limit")
FIX = f"Replace it with a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or remove it from the annotations."


def decode(
    source: str | os.PathLike[str] | bytes,
    name: str = "",
    max_pixels: int = MAX_PIXELS,
    fix: str = FIX,
    *,
    draft_side: int | None = None,
) -> Image:
    """The image as in `upright_rgb`.

    Args:
        source: an image file, or its bytes; the content decides the format, not the name.
        name: how errors name the bytes.
        max_pixels: largest width times height; larger images are refused before any pixel is decoded.
        fix: what to do about an image that is refused, in a sentence.
        draft_side: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where both sides keep so many pixels, which is
            faster; None decodes all of it.

    Raises:
        DataError: the image is missing, of another format, too large or truncated.
    """
    with _open_checked(source, name, max_pixels, fix) as image:
        if draft_side is not None:
            image.draft("RGB", (draft_side, draft_side))  # changes nothing of other formats
        image.load()
        return upright_rgb(image)


def upright_rgb(image: Image) -> Image:
    """The image in RGB, turned upright, transparent parts on white, 16-bit values divided by 256."""
    from PIL import Image as pillow
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(_in_8_bits(image))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
        return pillow.alpha_composite(white, rgba).convert("RGB")
    return upright.convert("RGB")


def _in_8_bits(image: Image) -> Image:
    """A grey image of 16 bits with the upper 8 of each; others unchanged. Pillow's own conversion makes it white."""
    if image.mode not in ("I", "I;16", "I;16L", "I;16B", "I;16N"):
        return image
    from PIL import Image as pillow

    values = np.asarray(image).astype(np.int64)
    upper = np.clip(values >> 8, 0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")  # of PNG: the grey value that is transparent
    if isinstance(transparent, int):
        upper[values == transparent] = 255
    eight_bits = pillow.fromarray(upper)
    eight_bits.info.update({key: value for key, value in image.info.items() if key != "transparency"})
    return eight_bits


def check_header(image: str | os.PathLike[str] | bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> str:
    """The suffix of an image's format: ".jpg", ".png" or ".webp"; reads the header and decodes no pixel.

    Args:
        image: an image file, or its bytes.
        name: how errors name the bytes.
        max_pixels: largest width times height.

    Raises:
        DataError: the image is missing, of another format, too large, or its header is broken.
    """
    with _open_checked(image, name, max_pixels) as header:
        return _SUFFIXES.get(header.format or "", ".jpg")  # Pillow names the format of stereo JPEGs MPO


@contextmanager
def _open_checked(
    source: str | os.PathLike[str] | bytes, name: str, max_pixels: int, fix: str = FIX
) -> Iterator[Image]:
    """Opens an image of an allowed format and size; any error of the decoder inside becomes a DataError."""
    file = io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)
    name = file if isinstance(file, str) else name
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UsageError(f"reading images needs Pillow: {pip_install('encode')}") from None
    try:
        with (
            open_regular(file) if isinstance(file, str) else file as opened,
            Image.open(opened, formats=FORMATS) as image,
        ):
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(Problem(name, None, f"{width} x {height} pixels, at most {max_pixels:,} allowed", fix))
            yield image
    except FileNotFoundError:
        raise DataError(Problem(name, None, "not found", fix)) from None
    except Image.DecompressionBombError:  # Pillow's own limit, which comes first for very large images
        raise DataError(Problem(name, None, f"far too many pixels, at most {max_pixels:,} allowed", fix)) from None
    except UnidentifiedImageError:
        raise DataError(Problem(name, None, f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image", fix)) from None
    except DataError:
        raise
    except Exception as error:  # decoders raise errors of many types: OSError, SyntaxError, struct.error, ...
        raise DataError(Problem(name, None, f"truncated or broken image: {error}", fix)) from None


def target_pad(image: Image, ratio: float) -> Image:
    """The image with black bars along its long sides, if its aspect ratio exceeds `ratio`: a centre crop keeps more.

    The bars widen the shorter side to 1 / `ratio` of the longer one (TargetPad of CLIP4Cir, Baldrati et al., CVPRW
    2022, which takes 1.25).

    Args:
        ratio: longer side / shorter side up to which an image stays as it is; at least 1.
    """
    from PIL import ImageOps

    least_side = max(image.size) / ratio
    width, height = (max(int((least_side - side) / 2), 0) for side in image.size)
    return ImageOps.expand(image, (width, height)) if width or height else image
