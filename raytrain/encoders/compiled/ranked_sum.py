"""Sum over a set of its members sorted per dimension, times a weight per rank: the pooling of GPO on a CPU.

torch.sort orders each dimension of each set by itself, and copies the features before and after. Here 64 dimensions of
a set at a time stay in a core's first two caches and are sorted together by a network of comparators (Batcher's
odd-even merge sort), whose every step is the same for all of them. What is kept for the gradient is which member has
which rank, a byte each. Values are those of a sort; sums run over ranks, from the largest member on.

Letters: B sets, R members of a set, n real ones, D dimensions.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raytrain.encoders.padding import Members
from raytrain.encoders.uncompiled import uncompiled
from raytrain.similarity.compiled import compiled, on_threads

WIDTH = 64  # dimensions at a time
SIGN, REST, NONE, ALL = np.int32(31), np.int32(0x7FFFFFFF), np.int32(0), np.int32(-1)
ZERO = np.float32(0)


@uncompiled
def ranked_sum(features: Tensor, weights: Tensor, real: Tensor) -> Tensor:
    """(B, D) sum over ranks of weights times the real members in descending order, in each dimension by itself.

    Which of two equal members ranks first is the network's choice, and always the same one.

    Args:
        features: (B, R, D) float32 on the CPU, R at most 256.
        weights: (B, R) float32 weight of each rank in each set; those from n on do not count.
        real: (B, R) bool, True at real members.
    """
    return _RankedSum.apply(features, weights, real)  # type: ignore[no-any-return, no-untyped-call]


class _RankedSum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: Tensor, weights: Tensor, real: Tensor) -> Tensor:
        features, weights = features.contiguous(), weights.contiguous()
        items, longest, dim = features.shape
        of_mask = Members(real, real.device)
        # real members first, in their order
        places = real.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
        sums = features.new_empty(items, dim)
        members = torch.empty(features.shape, dtype=torch.uint8)
        given = features.view(torch.int32), places, of_mask.lengths, weights, sums, members
        arrays: list[Any] = [tensor.numpy() for tensor in given]
        comparators = _network(longest)

        def part(first: int, last: int) -> None:
            cast(Any, _sums)(*(array[first:last] for array in arrays), comparators)

        on_threads(part, items)
        context.save_for_backward(features, weights, places, of_mask.lengths, members)
        context.all_real = of_mask.all_real
        return sums

    @staticmethod
    @once_differentiable
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        features, weights, places, counts, members = context.saved_tensors
        of_features = torch.empty_like(features) if context.all_real else torch.zeros_like(features)
        of_weights = torch.zeros_like(weights)
        given = features, weights, places, counts, members, slopes.contiguous(), of_features, of_weights
        arrays: list[Any] = [tensor.numpy() for tensor in given]

        def part(first: int, last: int) -> None:
            _gradients(*(array[first:last] for array in arrays))

        on_threads(part, len(features))
        return of_features, of_weights, None


@functools.cache
def _network(count: int) -> np.ndarray:
    """(C, 2) pairs of places to compare one after the other, the larger number to the first: they sort `count` numbers.

    Batcher's odd-even merge sort of the next power of two; the numbers that would fill it up are the smallest, and no
    comparison with them changes anything.
    """
    size = 1 << max(count - 1, 0).bit_length()
    pairs: list[Sequence[int]] = []
    merged = 1
    while merged < size:
        step = merged
        while step >= 1:
            pairs += [
                (low, low + step)
                for start in range(step % merged, size - step, 2 * step)
                for low in range(start, start + min(step, size - start - step))
                if low // (2 * merged) == (low + step) // (2 * merged)
            ]
            step //= 2
        merged *= 2
    return np.array([pair for pair in pairs if pair[1] < count], np.int32).reshape(-1, 2)


@compiled
def _sums(bits: Any, places: Any, counts: Any, weights: Any, sums: Any, members: Any, comparators: Any) -> None:
    """Fills (B, D) `sums` and (B, n, D) `members`, the number of the real member that has each rank.

    Args:
        bits: (B, R, D) features, read as int32.
        places: (B, R), where the real members stand, at the beginning of a row.
        counts: (B) n.
    """
    longest = places.shape[1]
    keys, numbers = np.zeros((longest, WIDTH), np.int32), np.zeros((longest, WIDTH), np.int32)
    total = np.empty(WIDTH, np.float32)
    for item in range(bits.shape[0]):
        count = counts[item]
        for first in range(0, bits.shape[2], WIDTH):
            width = min(WIDTH, bits.shape[2] - first)
            for member in range(count):
                source, key, number = bits[item, places[item, member]], keys[member], numbers[member]
                for d in range(width):
                    # integers that order as the numbers do, whose sign stands apart
                    key[d] = source[first + d] ^ ((source[first + d] >> SIGN) & REST)
                for d in range(WIDTH):
                    number[d] = member
            for pair in range(comparators.shape[0]):
                if comparators[pair, 1] < count:
                    _compare(keys, numbers, comparators[pair, 0], comparators[pair, 1])
            for d in range(WIDTH):
                total[d] = ZERO
            for rank in range(count):
                weight, key = weights[item, rank], keys[rank]
                for d in range(WIDTH):
                    total[d] += weight * np.int32(key[d] ^ ((key[d] >> SIGN) & REST)).view(np.float32)
            for d in range(width):
                sums[item, first + d] = total[d]
            for rank in range(count):
                number, target = numbers[rank], members[item, rank]
                for d in range(width):
                    target[first + d] = number[d]


@compiled
def _compare(keys: Any, numbers: Any, high: int, low: int) -> None:
    """Exchanges two rows, dimension by dimension, where the second has the larger key: without a branch, in vectors."""
    key, other, number, other_number = keys[high], keys[low], numbers[high], numbers[low]
    for d in range(WIDTH):
        exchanged = ALL if key[d] < other[d] else NONE
        different = (key[d] ^ other[d]) & exchanged
        key[d] ^= different
        other[d] ^= different
        different = (number[d] ^ other_number[d]) & exchanged
        number[d] ^= different
        other_number[d] ^= different


@compiled
def _gradients(
    features: Any, weights: Any, places: Any, counts: Any, members: Any, slopes: Any, of_features: Any, of_weights: Any
) -> None:
    """Adds to (B, R) `of_weights`, and fills the real members of (B, R, D) `of_features`."""
    longest = places.shape[1]
    block, slope_block = np.empty((longest, WIDTH), np.float32), np.empty((longest, WIDTH), np.float32)
    products = np.empty(WIDTH, np.float32)
    for item in range(features.shape[0]):
        count, slope = counts[item], slopes[item]
        for first in range(0, features.shape[2], WIDTH):
            width = min(WIDTH, features.shape[2] - first)
            for member in range(count):
                source, target = features[item, places[item, member]], block[member]
                for d in range(width):
                    target[d] = source[first + d]
            for rank in range(count):
                weight, number = weights[item, rank], members[item, rank]
                for d in range(width):
                    slope_block[number[first + d], d] = weight * slope[first + d]
                    products[d] = slope[first + d] * block[number[first + d], d]
                total = ZERO
                for d in range(width):
                    total += products[d]
                of_weights[item, rank] += total
            for member in range(count):
                source, target = slope_block[member], of_features[item, places[item, member]]
                for d in range(width):
                    target[first + d] = source[d]
