"""Tiles cover the matrix once, in nearly one size, and refuse owners that do not fit."""

from __future__ import annotations

import pytest
import torch

from raytrain.evaluation.ranking.tiles import NUMBERS_PER_MIB, THINNEST, Plan, cut


@pytest.mark.parametrize(("texts", "items", "cost", "pairs"), [(25_000, 5_000, 1, None), (7, 5, 1, 6), (1, 9, 16, 3)])
def test_slices_cover_everything_once_and_have_nearly_one_size(
    texts: int, items: int, cost: int, pairs: int | None
) -> None:
    memory = 64 if pairs is None else pairs * 2 * (cost + 2) / NUMBERS_PER_MIB
    for slices, size in zip(cut(texts, items, cost, memory), (texts, items), strict=True):
        assert [n for part in slices for n in range(part.start, part.stop)] == list(range(size))
        lengths = [part.stop - part.start for part in slices]
        if max(lengths) < THINNEST:
            assert max(lengths) - min(lengths) <= 1
        else:  # products are fastest with columns in multiples of 16
            assert max(lengths) - min(lengths) < 2 * 16
            assert all(length % 16 == 0 for length in lengths[:-1])


@pytest.mark.parametrize("owner", [[0, 1, 5], [0, 1, -1], []])
def test_owners_that_do_not_fit_are_refused(owner: list[int]) -> None:
    with pytest.raises(ValueError, match="item_of_text"):
        Plan.of(torch.tensor(owner, dtype=torch.int64), 2)
