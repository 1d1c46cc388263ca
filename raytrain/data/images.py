"""Opening images that somebody else supplied."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raytrain.errors import DataError, Problem, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000  # a 192 MB RGB image; a small file can claim far more
MAX_IMAGE_BYTES = 256 * 2**20  # of one from an archive or a store, which is read whole
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # what such files are called; the content decides
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_FIX = f"Replace it with a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or remove it from the annotations."


def decode(source: str | os.PathLike[str] | bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> Image:
    """The image in RGB, upright, transparent parts on white.

    Args:
        source: an existing file, or the bytes of one; the content decides the format, not the name.
        name: what errors call the bytes.
        max_pixels: width times height above which it is refused before any pixel is decoded.

    Raises:
        DataError: missing, not of an allowed format, too large or truncated.
    """
    from PIL import Image, ImageOps

    with _opened(source, name, max_pixels) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            rgba = upright.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            return Image.alpha_composite(white, rgba).convert("RGB")
        return upright.convert("RGB")


def check_header(image: str | os.PathLike[str] | bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> str:
    """The suffix that fits an image's format: ".jpg", ".png" or ".webp". Its header alone is read, no pixel decoded.

    Args:
        image: an existing file, or the bytes of one.
        name: what errors call the bytes.
        max_pixels: width times height above which it is refused.

    Raises:
        DataError: missing, not of an allowed format, too large, or with a broken header.
    """
    with _opened(image, name, max_pixels) as opened:
        return _SUFFIXES.get(opened.format or "", ".jpg")  # JPEGs of two views call themselves MPO


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes, name: str, max_pixels: int) -> Iterator[Image]:
    """An image whose format and size are allowed; whatever fails on it inside becomes a DataError."""
    file = io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)
    name = file if isinstance(file, str) else name
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise UsageError("images are read with Pillow; install the extra `encode`") from None
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(Problem(name, None, f"{width} x {height} pixels, at most {max_pixels:,} allowed", _FIX))
            yield image
    except FileNotFoundError:
        raise DataError(Problem(name, None, "not found", _FIX)) from None
    except Image.DecompressionBombError:  # Pillow's own limit, which no option lifts
        raise DataError(Problem(name, None, f"far too many pixels, at most {max_pixels:,} allowed", _FIX)) from None
    except UnidentifiedImageError:
        raise DataError(Problem(name, None, f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image", _FIX)) from None
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they trip over: OSError, SyntaxError, struct.error, ...
        raise DataError(Problem(name, None, f"truncated or broken image: {error}", _FIX)) from None


def target_pad(image: Image, ratio: float) -> Image:
    """The image with black bars along its long sides where it is longer than `ratio`, so that a centre crop keeps more.

    The bars make the shorter side 1 / `ratio` of the longer one (CLIP4Cir's TargetPad, Baldrati et al., CVPRW 2022,
    which takes 1.25).

    Args:
        ratio: longest side by shortest side that is left as it is; at least 1.
    """
    from PIL import ImageOps

    wanted = max(image.size) / ratio
    width, height = (max(int((wanted - side) / 2), 0) for side in image.size)
    return ImageOps.expand(image, (width, height)) if width or height else image
