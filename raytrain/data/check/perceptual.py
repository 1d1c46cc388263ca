"""Perceptual hashes of images, and the search for near hashes: images that look alike.

The hash is a pHash (Zauner, 2010) of 128 bits instead of the usual 64: the grey image at 32 x 32, its 128 lowest
frequencies in the discrete cosine transform, one bit per frequency that is above their median. Saving the image again,
resizing it, and small changes of brightness or contrast change few bits; another photo changes about half of them.

No two of 7,000 different photos (Flickr8k) differ in fewer than 30 bits. A photo saved again as a JPEG of quality 30 or
at half the size differs in at most 8, one with 2 % cropped on every side in 10 (median). Products on a white background
are nearer to each other if they share an outline, and the hash ignores colours: near hashes do not prove equal content.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BITS, BANDS = 128, 8
NEAR = 2 * BANDS - 1
"""Largest number of differing bits of near hashes: at least one of the eight bands then differs in at most one bit."""
_SIDE, _WIDTH = 32, BITS // BANDS
_FLAT = 2.0  # standard deviation in grey levels of 0 to 255; an image below it has too little content for a hash
_PAIRS_AT_ONCE = 1 << 22
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)  # bits set in a byte


def perceptual_hash(image: Image) -> bytes:
    """The 16-byte hash of an RGB image; b"" for an image of a single colour."""
    from PIL.Image import Resampling

    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Resampling.BOX), np.float64)
    if grey.std() < _FLAT:
        return b""
    cosines, rows, columns = _frequencies()
    lowest = (cosines @ grey @ cosines.T)[rows, columns]
    return np.packbits(lowest > np.median(lowest)).tobytes()


@cache
def _frequencies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((_SIDE, _SIDE) cosine transform, rows and columns of the BITS lowest frequencies without the mean)."""
    index = np.arange(_SIDE)
    cosines = np.cos(np.pi * (2 * index[None, :] + 1) * index[:, None] / (2 * _SIDE))
    lowest = sorted((row + column, row, column) for row in range(_SIDE) for column in range(_SIDE))[1 : BITS + 1]
    return cosines, np.array([row for _, row, _ in lowest]), np.array([column for _, _, column in lowest])


def near_pairs(left: Sequence[bytes], right: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """(row of left, row of right that is nearest, differing bits) for every left hash that has a near right one.

    Only pairs are compared that differ in at most one bit of one of eight 16-bit bands. They include all near pairs:
    two differing bits in each band would be sixteen.

    Args:
        left, right: hashes of 16 bytes.
    """
    if not left or not right:
        return []
    ours, theirs = (np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, BITS // 8) for hashes in (left, right))
    # equal hashes are compared once: a catalogue may contain one picture thousands of times
    ours, row_of_ours = np.unique(ours, axis=0, return_inverse=True)
    theirs, first_of_theirs = np.unique(theirs, axis=0, return_index=True)
    best = np.full(len(ours), NEAR + 1)
    nearest = np.zeros(len(ours), np.int64)
    flips = np.array([0, *(1 << bit for bit in range(_WIDTH))], np.uint16)
    for our_keys, their_keys in zip(_bands(ours), _bands(theirs), strict=True):
        order = np.argsort(their_keys, kind="stable")
        ordered = their_keys[order]
        for flip in flips:
            start = np.searchsorted(ordered, our_keys ^ flip, "left")
            counts = np.searchsorted(ordered, our_keys ^ flip, "right") - start
            for chunk in _chunks(counts):
                sizes = counts[chunk]
                our_row = np.repeat(np.arange(len(counts))[chunk], sizes)
                place = np.arange(len(our_row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                their_row = order[np.repeat(start[chunk], sizes) + place]
                differing = _ONES[ours[our_row] ^ theirs[their_row]].sum(1, dtype=np.int64)
                ranked = np.lexsort((their_row, differing))[::-1]  # of several assignments the last stays: the nearest
                our_row, their_row, differing = our_row[ranked], their_row[ranked], differing[ranked]
                better = differing < best[our_row]
                our_row, their_row, differing = our_row[better], their_row[better], differing[better]
                best[our_row], nearest[our_row] = differing, their_row
    return [
        (row, int(first_of_theirs[nearest[at]]), int(best[at]))
        for row, at in enumerate(row_of_ours.reshape(-1).tolist())
        if best[at] <= NEAR
    ]


def _bands(hashes: np.ndarray) -> list[np.ndarray]:
    """Eight columns of 16 bits; each takes every eighth bit, so that it mixes low and high frequencies."""
    bits = np.unpackbits(hashes, axis=1).reshape(-1, _WIDTH, BANDS)
    weights = (1 << np.arange(_WIDTH)).astype(np.uint16)
    return [(bits[:, :, band] * weights).sum(1, dtype=np.uint16) for band in range(BANDS)]


def _chunks(counts: np.ndarray) -> list[slice]:
    """Slices of consecutive rows with at most _PAIRS_AT_ONCE pairs, but at least one row each."""
    ends = np.cumsum(counts)
    slices, start = [], 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, "right")), start + 1)
        slices.append(slice(start, end))
        start = end
    return slices
