"""Images that look alike: a hash of what an image shows, and the pairs of near hashes across splits.

The hash is a pHash (Zauner, 2010) of 128 bits in place of the usual 64: the grey image at 32 x 32, its 128 lowest
frequencies by the discrete cosine transform, a bit each for above their median. Saving again, another size and a little
more light or contrast change few bits; another photo changes about half of them.

No two of 7,000 unlike photos (Flickr8k) differed in fewer than 30 bits; one saved again as a JPEG of quality 30 or
halved in size in at most 8, with 2 % cut off on every side in 10 at the median. Products on white, of which many have
one outline, are nearer to each other than that, and grey hashes know no colours: alike is not the same.
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
"""Hashes that differ in so many bits are near: the most at which one of eight bands must differ in at most one bit."""
_SIDE, _WIDTH = 32, BITS // BANDS
_FLAT = 2.0  # standard deviation, of 255 grey levels, below which an image shows nothing to be known by
_PAIRS_AT_ONCE = 1 << 22
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)  # bits set in a byte


def perceptual_hash(image: Image) -> bytes:
    """The 16 bytes of an RGB image; b"" of one that is of one colour all over."""
    from PIL.Image import Resampling

    grey = np.asarray(image.convert("L").resize((_SIDE, _SIDE), Resampling.BOX), np.float64)
    if grey.std() < _FLAT:
        return b""
    cosines, rows, columns = _frequencies()
    lowest = (cosines @ grey @ cosines.T)[rows, columns]
    return np.packbits(lowest > np.median(lowest)).tobytes()


@cache
def _frequencies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the transform, rows and columns of the lowest frequencies but for the mean)."""
    places = np.arange(_SIDE)
    cosines = np.cos(np.pi * (2 * places[None, :] + 1) * places[:, None] / (2 * _SIDE))
    lowest = sorted((row + column, row, column) for row in range(_SIDE) for column in range(_SIDE))[1 : BITS + 1]
    return cosines, np.array([row for _, row, _ in lowest]), np.array([column for _, _, column in lowest])


def near_pairs(left: Sequence[bytes], right: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """(row of left, the row of right that is nearest, differing bits) of every left hash that has a near one.

    Not all pairs are compared, but those that are equal in one of eight bands of 16 bits, or differ there in one bit:
    every near pair is among them, since sixteen differing bits at least would be needed for two in each band.

    Args:
        left, right: hashes of 16 bytes.
    """
    if not left or not right:
        return []
    ours, theirs = (np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, BITS // 8) for hashes in (left, right))
    # equal hashes are compared once: a catalogue may hold one picture thousands of times
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
            for some in _chunks(counts):
                sizes = counts[some]
                one = np.repeat(np.arange(len(counts))[some], sizes)
                place = np.arange(len(one)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                other = order[np.repeat(start[some], sizes) + place]
                differing = _ONES[ours[one] ^ theirs[other]].sum(1, dtype=np.int64)
                ranked = np.lexsort((other, differing))[::-1]  # of several assignments the last stays: the nearest
                one, other, differing = one[ranked], other[ranked], differing[ranked]
                better = differing < best[one]
                one, other, differing = one[better], other[better], differing[better]
                best[one], nearest[one] = differing, other
    return [
        (row, int(first_of_theirs[nearest[at]]), int(best[at]))
        for row, at in enumerate(row_of_ours.reshape(-1).tolist())
        if best[at] <= NEAR
    ]


def _bands(hashes: np.ndarray) -> list[np.ndarray]:
    """Eight columns of 16 bits, each of frequencies from all over: every eighth bit."""
    bits = np.unpackbits(hashes, axis=1).reshape(-1, _WIDTH, BANDS)
    weights = (1 << np.arange(_WIDTH)).astype(np.uint16)
    return [(bits[:, :, band] * weights).sum(1, dtype=np.uint16) for band in range(BANDS)]


def _chunks(counts: np.ndarray) -> list[slice]:
    """Consecutive rows whose pairs together fit the memory, at least one row each."""
    ends = np.cumsum(counts)
    slices, start = [], 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        end = max(int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, "right")), start + 1)
        slices.append(slice(start, end))
        start = end
    return slices
