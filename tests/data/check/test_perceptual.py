"""Hashes of what images show, and the search for near ones."""

from __future__ import annotations

import io

import numpy as np
import pytest

from raytrain.data.check import perceptual
from raytrain.data.check.perceptual import BITS, NEAR, near_pairs, perceptual_hash

Image = pytest.importorskip("PIL.Image", reason="Pillow (extra `encode`) draws the test's pictures")


def photo(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Coarse noise made smooth: what a photo is to a hash of its lowest frequencies."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def saved_again(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(io.BytesIO(out.getvalue())).convert("RGB")


def apart(left: bytes, right: bytes) -> int:
    return int(np.unpackbits(np.frombuffer(left, np.uint8) ^ np.frombuffer(right, np.uint8)).sum())


def by_comparing_all(left: list[bytes], right: list[bytes]) -> list[tuple[int, int]]:
    pairs = []
    for row, hashed in enumerate(left):
        least = min((apart(hashed, other) for other in right), default=BITS)
        if least <= NEAR:
            pairs.append((row, least))
    return pairs


@pytest.mark.parametrize("seed", range(8))
def test_the_same_picture_saved_again_is_near_and_another_is_not(seed: int) -> None:
    image = photo(seed)
    own = perceptual_hash(image)
    assert len(own) == BITS // 8
    for changed in (
        saved_again(image, 30),
        image.resize((80, 60)),
        image.resize((320, 240)),
        image.point(lambda value: value * 0.8 + 10),
        image.convert("L").convert("RGB"),
    ):
        assert apart(own, perceptual_hash(changed)) <= NEAR
    assert apart(own, perceptual_hash(photo(seed + 100))) > 2 * NEAR
    assert apart(own, perceptual_hash(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > 2 * NEAR


def test_half_of_the_bits_are_set_and_a_flat_picture_has_none() -> None:
    assert np.unpackbits(np.frombuffer(perceptual_hash(photo(0)), np.uint8)).sum() == BITS // 2
    assert perceptual_hash(Image.new("RGB", (30, 20), "white")) == b""


def hashes(count: int, seed: int) -> list[bytes]:
    return [row.tobytes() for row in np.random.default_rng(seed).integers(0, 256, (count, BITS // 8), np.uint8)]


def changed_in(hashed: bytes, bits: list[int]) -> bytes:
    flat = np.unpackbits(np.frombuffer(hashed, np.uint8))
    flat[bits] ^= 1
    return np.packbits(flat).tobytes()


@pytest.mark.parametrize("at_once", [1, 7, 1 << 22])
def test_bands_find_exactly_the_pairs_that_comparing_all_finds(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "_PAIRS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    right = hashes(60, 1)
    right[7] = right[8]
    left = hashes(20, 2)
    for differing in (0, 1, 2, 8, 14, 15, 16, 17):
        for _ in range(6):
            bits = random.choice(BITS, differing, replace=False).tolist()
            left.append(changed_in(right[random.integers(len(right))], bits))
    left.append(left[-1])
    pairs = near_pairs(left, right)
    assert [(row, bits) for row, _, bits in pairs] == by_comparing_all(left, right)
    assert all(apart(left[row], right[other]) == bits for row, other, bits in pairs)
    assert len(pairs) >= 6 * 6


def test_two_differing_bits_in_every_band_are_one_more_than_near() -> None:
    """The least that no band betrays: what the search cannot see is not near either."""
    (hashed,) = hashes(1, 3)
    spread = list(range(16))  # a band holds every eighth bit
    assert near_pairs([changed_in(hashed, spread)], [hashed]) == []
    assert near_pairs([changed_in(hashed, spread[:-1])], [hashed]) == [(0, 0, 15)]


def test_the_nearest_of_several_is_told_and_none_of_nothing() -> None:
    (hashed,) = hashes(1, 4)
    others = [changed_in(hashed, [0, 1, 2]), changed_in(hashed, [5]), changed_in(hashed, [5, 6])]
    assert near_pairs([hashed], others) == [(0, 1, 1)]
    assert near_pairs([], others) == near_pairs([hashed], []) == []
