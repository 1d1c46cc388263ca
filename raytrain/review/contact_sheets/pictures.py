"""The pictures of a page as data URIs that fit its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from raytrain.data.storage import Root, open_image
from raytrain.data.thumbnails import thumbnail
from raytrain.errors import DataError, Interrupted, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 2_000_000
"""Of a page, its pictures included."""
SIDES = (96, 80, 64)
"""Sides of a thumbnail, in pixels; a page takes the first at which its pictures fit."""
QUALITY = 72


def fitted(render: Callable[[Mapping[str, str]], Markup], files: Iterable[str], root: Root | None,
           most_bytes: int = MOST_BYTES) -> Markup:  # fmt: skip
    """Markup with as many of its pictures as fit, in the largest of SIDES at which all of them do.

    Args:
        render: {image file: data URI} -> the markup, which names every other file in words.
        files: that the markup shows, one name per place where it stands.
        root: that they are relative to; None where there is none, and the markup gets no picture.
        most_bytes: of the whole markup.
    """
    bare = render({})
    return render(thumbnails(files, root, most_bytes - len(bare.encode())))


def thumbnails(files: Iterable[str], root: Root | None, room_bytes: int) -> dict[str, str]:
    """{image file: data URI} of those that can be read, as many as there is room for.

    Args:
        files: one name per place where it stands.
        root: that they are relative to; None where there is none.
        room_bytes: of all their data URIs, each counted as often as it stands.
    """
    places = Counter(files)
    if root is None or room_bytes <= 0:
        return {}
    images = _small_images(places, root)
    made: dict[str, str] = {}
    for side in SIDES:
        made = {file: thumbnail(image, side, "webp", QUALITY) for file, image in images.items()}
        if sum(len(uri) * places[file] for file, uri in made.items()) <= room_bytes:
            return made
    kept = {}
    for file, uri in made.items():
        room_bytes -= len(uri) * places[file]
        if room_bytes < 0:
            break
        kept[file] = uri
    return kept


def _small_images(files: Iterable[str], root: Root) -> dict[str, Image]:
    """The images that can be read, none larger than the largest side: a page is made of whatever is there."""
    images = {}
    for file in files:
        try:
            image = open_image(root, file)
        except (DataError, UsageError):
            continue
        except Interrupted:  # the store does not answer, and each further image would wait for it
            break
        image.thumbnail((SIDES[0], SIDES[0]))
        images[file] = image
    return images
