"""Hostile images are seen before they are decoded; the gallery's own are found by their ids."""

from __future__ import annotations

import struct
import zlib

import pytest

from raytrain.errors import DataError
from raytrain.retrieval import Gallery
from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.pictures import GalleryPictures, decode_upload
from tests.retrieval.serve.clients import picture


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG of one bit per pixel with these compressed rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


HUNDRED_MEGAPIXELS = png(10_000, 10_000, zlib.compress(bytes(1251) * 10_000, 9))
BOMB = png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(1 << 20)))
"""As many pixels as a PNG can claim."""
MORE_THAN_CLAIMED = png(8, 8, zlib.compress(bytes(50 << 20), 9))
"""64 pixels that decompress to 50 MB."""


def progressive(scans: int) -> bytes:
    """A JPEG whose last scan is repeated."""
    data = picture(kind="JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[start:end] * scans + data[end:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HUNDRED_MEGAPIXELS, "the image: 10000 x 10000 pixels, at most 40,000,000 allowed"),
        (BOMB, "the image: .*pixels"),
        (progressive(200), "a JPEG of more than 100 scans"),
        (b"just a text", "not a JPEG, PNG or WEBP image"),
        (b"", "not a JPEG, PNG or WEBP image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG or WEBP image"),
        (picture()[:200], "truncated or broken"),
    ],
)
def test_a_hostile_image_is_refused_in_a_line(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        decode_upload(data, Limits())
    assert "0x" not in str(error.value)


def test_what_a_file_holds_beyond_its_pixels_is_not_decoded() -> None:
    assert decode_upload(MORE_THAN_CLAIMED, Limits()).size == (8, 8)
    assert decode_upload(progressive(5), Limits()).size == (40, 32)


def test_thumbnails_are_kept_up_to_a_number(images: Gallery) -> None:
    pictures = GalleryPictures(images, cached=2)
    assert "3.jpg" in pictures and "images/3.jpg" not in pictures
    first = pictures.thumbnail("3.jpg")
    assert first is not None and pictures.cached_thumbnail("3.jpg") == first
    for other in ("1.jpg", "2.jpg"):
        pictures.thumbnail(other)
    assert pictures.cached_thumbnail("3.jpg") is None and pictures.cached_thumbnail("2.jpg")


def test_an_image_that_cannot_be_read_is_none(images: Gallery) -> None:
    pictures = GalleryPictures(images, cached=2)
    pictures.files["3.jpg"] = "../../table.json"
    assert pictures.thumbnail("3.jpg") is None and pictures.picture("3.jpg") is None
