"""Random crops, mirror images and colours, on pictures small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pytest

from raytrain.data.load.augmentation import Augmentation

pillow = pytest.importorskip("PIL.Image", reason="needs Pillow (extra `encode`)")
MIDDLE = [0.5] * 8


def picture(width: int = 60, height: int = 40) -> np.ndarray:
    """(H, W, 3): red counts columns, green counts rows."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows, np.full_like(rows, 7)], 2).astype(np.uint8)


def augmented(augmentation: Augmentation, draws: list[float]) -> np.ndarray:
    return np.asarray(augmentation(pillow.fromarray(picture()), draws))


def test_nothing_is_drawn_or_changed_unless_asked_for() -> None:
    assert Augmentation().draws == 0
    assert [Augmentation(crop=0.5).draws, Augmentation(flip=True).draws, Augmentation(colour=0.1).draws] == [8, 8, 8]
    assert np.array_equal(augmented(Augmentation(), MIDDLE), picture())


@pytest.mark.parametrize("draws", [[0.0] * 8, MIDDLE, [1 - 1e-7] * 8, [0.0, 1 - 1e-7, 0.3, 0.9, 1, 1, 1, 1]])
def test_a_crop_is_a_part_of_the_image_of_the_drawn_area_and_shape(draws: list[float]) -> None:
    crop = augmented(Augmentation(crop=0.25), draws)
    height, width = crop.shape[:2]
    left, top = int(crop[0, 0, 0]), int(crop[0, 0, 1])
    assert np.array_equal(crop, picture()[top : top + height, left : left + width])
    if height < 40:  # as high as the image at most; then its shape cannot be as drawn
        assert width * height / 2400 == pytest.approx(0.25 + draws[0] * 0.75, rel=0.1)
        assert 0.7 < width / height < 1.4


def test_half_of_the_draws_mirror() -> None:
    mirrored, plain = ([*MIDDLE[:4], draw, *MIDDLE[5:]] for draw in (0.49, 0.5))
    assert np.array_equal(augmented(Augmentation(flip=True), mirrored), picture()[:, ::-1])
    assert np.array_equal(augmented(Augmentation(flip=True), plain), picture())


def test_brightness_changes_by_the_given_share_at_most() -> None:
    brighter = augmented(Augmentation(colour=0.5), [0.5] * 5 + [1.0, 0.5, 0.5])
    assert brighter[5, 50, 0] == 75  # 1.5 times 50
    assert np.array_equal(augmented(Augmentation(colour=0.5), MIDDLE), picture())
