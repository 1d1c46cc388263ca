"""Images of clients, decoded within bounds, and images of the gallery as JPEGs that pages show."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from raytrain.data.images import decode
from raytrain.data.storage import open_image
from raytrain.data.thumbnails import encoded
from raytrain.errors import DataError, Interrupted, Problem
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.images import FIX
from raytrain.retrieval.serve.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_SIDE = 240
LARGE_SIDE = 1600
NAME = "the image"
_SCAN = b"\xff\xda"
"""What a scan of a JPEG begins with; compressed pixels never hold it."""


def decode_upload(data: bytes, limits: Limits) -> Image:
    """The image of a request in RGB, upright.

    Raises:
        DataError: it is of another format, broken, or has too many pixels or scans, which is seen before decoding.
    """
    if data.startswith(b"\xff\xd8") and data.count(_SCAN) > limits.max_scans:
        raise DataError(Problem(NAME, None, f"a JPEG of more than {limits.max_scans} scans", FIX))
    return decode(data, name=NAME, max_pixels=limits.max_pixels, fix=FIX)


class GalleryPictures:
    """The images of a gallery by their ids alone: no id is ever taken for a path.

    Args:
        gallery: of images.
        cached: number of thumbnails that are kept.
    """

    def __init__(self, gallery: Gallery, cached: int) -> None:
        self.files = {identity: file for identity, file in zip(gallery.ids, gallery.files, strict=True) if file}
        self.root = None if gallery.table is None else gallery.table.image_root
        self.cached = cached
        self._cache: OrderedDict[str, bytes] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return self.root is not None and identity in self.files

    def cached_thumbnail(self, identity: str) -> bytes | None:
        return self._cache.get(identity)

    def thumbnail(self, identity: str) -> bytes | None:
        """A JPEG of at most THUMBNAIL_SIDE pixels a side; None where the image cannot be read."""
        picture = self.picture(identity, THUMBNAIL_SIDE)
        if picture is not None:
            self._cache[identity] = picture
            while len(self._cache) > self.cached:
                self._cache.popitem(last=False)
        return picture

    def picture(self, identity: str, side: int = LARGE_SIDE) -> bytes | None:
        """A JPEG without the file's metadata; None where the image cannot be read.

        Args:
            side: at most, in pixels.
        """
        assert self.root is not None
        try:
            return encoded(open_image(self.root, self.files[identity]), side)
        except (DataError, Interrupted):
            return None
