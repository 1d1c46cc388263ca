"""Opening images that somebody else supplied."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from raytrain.errors import DataError, Problem

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 64_000_000  # a 192 MB RGB image; a small file can claim far more
_FIX = f"Replace it with a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file, or remove it from the annotations."


def decode(path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS) -> Image:
    """The image in RGB, upright, transparent parts on white.

    Args:
        path: an existing file; its content decides the format, not its name.
        max_pixels: width times height above which it is refused before any pixel is decoded.

    Raises:
        DataError: missing, not of an allowed format, too large or truncated.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    file = os.fspath(path)
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DataError(Problem(file, None, f"{width} x {height} pixels, at most {max_pixels:,} allowed", _FIX))
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                rgba = upright.convert("RGBA")
                white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
                return Image.alpha_composite(white, rgba).convert("RGB")
            return upright.convert("RGB")
    except FileNotFoundError:
        raise DataError(Problem(file, None, "not found", _FIX)) from None
    except UnidentifiedImageError:
        raise DataError(Problem(file, None, f"no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image", _FIX)) from None
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they trip over: OSError, SyntaxError, struct.error, ...
        raise DataError(Problem(file, None, f"truncated or broken image: {error}", _FIX)) from None


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
