"""Pictures for pages."""

from __future__ import annotations

import base64
import io

import pytest

from raytrain.data.thumbnails import jpeg, thumbnail


def test_a_thumbnail_fits_its_square_and_keeps_its_proportions() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs pillow")
    image = pillow.new("RGB", (400, 200))
    head, _, data = thumbnail(image).partition(",")
    assert head == "data:image/jpeg;base64" and image.size == (400, 200)
    assert pillow.open(io.BytesIO(base64.b64decode(data))).size == (96, 48)
    assert pillow.open(io.BytesIO(jpeg(image, 1000))).size == (400, 200)
