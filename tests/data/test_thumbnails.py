"""Pictures for pages."""

from __future__ import annotations

import base64
import io

import pytest

from raytrain.data.thumbnails import encoded, thumbnail


def test_a_thumbnail_fits_its_square_and_keeps_its_proportions() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs pillow")
    image = pillow.new("RGB", (400, 200))
    head, _, data = thumbnail(image).partition(",")
    assert head == "data:image/jpeg;base64" and image.size == (400, 200)
    assert pillow.open(io.BytesIO(base64.b64decode(data))).size == (96, 48)
    assert pillow.open(io.BytesIO(encoded(image, 1000))).size == (400, 200)


def test_a_thumbnail_in_webp_is_smaller() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="needs pillow")
    image = pillow.radial_gradient("L").convert("RGB")
    small = thumbnail(image, 64, "webp", 70)
    assert small.startswith("data:image/webp;base64,") and len(small) < len(thumbnail(image, 64))
    assert pillow.open(io.BytesIO(base64.b64decode(small.partition(",")[2]))).size == (64, 64)
