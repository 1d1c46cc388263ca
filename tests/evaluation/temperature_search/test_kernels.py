"""The compiled loops against plain loops over numbers: odd sizes, ties, skipped rows, sums that are added to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the extra `fast`; without it PyTorch computes the same")

from raytrain.evaluation.temperature_search.kernels import CHUNK, WIDTH, add_powers, rank_columns, rank_rows
from raytrain.evaluation.temperature_search.log_means import Grid


def scores_of(rows: int, columns: int, values: int = 0, seed: int = 0) -> np.ndarray:
    """(R, N) float32 in [-1, 1]; with `values`, so few distinct ones that most tie."""
    generator = np.random.default_rng(seed)
    scores = generator.uniform(-1, 1, (rows, columns))
    return (np.round(scores * values) / values if values else scores).astype(np.float32)


@pytest.mark.parametrize("grid", [Grid(3.0), Grid(2.0, steps=4, octaves=3), Grid(2.0, steps=2, octaves=2)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (4, WIDTH), (6, WIDTH + 3), (3, 5)])
def test_powers_are_added_to_the_sums_of_rows_and_columns_but_for_the_entries_that_are_left_out(
    shape: tuple[int, int], grid: Grid
) -> None:
    rows, columns = shape
    scores = scores_of(rows, columns)
    row_shift, column_shift = np.linspace(-0.5, 0.5, rows), np.linspace(0.2, -0.2, columns)
    width = -(-columns // WIDTH) * WIDTH
    row_sums, column_sums = np.ones((len(grid), rows + 1)), np.ones((len(grid), width))
    step = grid.first / grid.steps
    halvings = max(0, math.ceil(math.log2(step * 2 / 0.35)))
    row_skip, column_skip = np.arange(rows) % columns, np.where(np.arange(columns) % 3 == 0, 0, -5)
    add_powers(
        scores, row_shift, column_shift, row_skip, column_skip, step, halvings, grid.steps.bit_length() - 1, grid.steps,
        grid.octaves, row_sums[:, 1:], column_sums,
    )  # fmt: skip
    for k, scale in enumerate(grid.scales):
        powers = [
            [
                0.0
                if c == row_skip[r] or r == column_skip[c]
                else math.exp(scale * (float(scores[r, c]) - row_shift[r] - column_shift[c]))
                for c in range(columns)
            ]
            for r in range(rows)
        ]
        assert row_sums[k, 1:] == pytest.approx([1 + math.fsum(row) for row in powers], rel=1e-12)
        expected = [1 + math.fsum(column) for column in zip(*powers, strict=True)]
        assert column_sums[k, :columns] == pytest.approx(expected, rel=1e-12)
    assert (row_sums[:, 0] == 1).all()


def bounds(offsets: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(slack of the items, floor of the queries) that leave nothing out that could rank above."""
    return offsets.min(1).astype(np.float32), (own.min(1) - 1e-4).astype(np.float32)


@pytest.mark.parametrize("values", [0, 3])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (5, 2 * CHUNK + 3)])
def test_rows_rank_their_own_column_under_every_setting(shape: tuple[int, int], values: int) -> None:
    rows, columns = shape
    scores = scores_of(rows, columns, values)
    offsets = np.ascontiguousarray(scores_of(columns, 3, values, seed=1)).astype(np.float64)
    owner = np.random.default_rng(2).integers(0, columns, rows)
    own = np.ascontiguousarray(scores[np.arange(rows), owner][:, None] - offsets[owner])
    ranks = np.zeros((rows, 3), np.int32)
    rank_rows(scores, owner, offsets, own, *bounds(offsets, own), ranks)
    for r in range(rows):
        for k in range(3):
            ranked = [scores[r, c] - offsets[c, k] for c in range(columns)]
            place = int(owner[r])
            above = [value > ranked[place] or (value == ranked[place] and c > place) for c, value in enumerate(ranked)]
            assert ranks[r, k] == sum(above)


def test_an_infinite_floor_skips_a_row() -> None:
    scores, offsets = scores_of(2, 5), np.zeros((5, 3))
    owner = np.array([scores[0].argmin(), scores[1].argmin()])
    own = np.ascontiguousarray(scores[np.arange(2), owner][:, None] - offsets[owner])
    slack, floor = bounds(offsets, own)
    floor[1] = np.inf
    ranks = np.zeros((2, 3), np.int32)
    rank_rows(scores, owner, offsets, own, slack, floor, ranks)
    assert ranks.tolist() == [[4, 4, 4], [0, 0, 0]]


@pytest.mark.parametrize("values", [0, 3])
@pytest.mark.parametrize("first", [0, 10])
@pytest.mark.parametrize("shape", [(1, 1), (6, 4), (3, CHUNK + 5)])
def test_blocks_of_rows_add_what_ranks_above_the_best_own_row_of_each_column(
    shape: tuple[int, int], first: int, values: int
) -> None:
    """The best own row of a column is one of these rows, or of rows before or after them."""
    rows, columns = shape
    generator = np.random.default_rng(3)
    scores = scores_of(rows, columns, values)
    offsets = np.ascontiguousarray(scores_of(rows, 3, values, seed=1)).astype(np.float64)
    best = np.ascontiguousarray(scores_of(columns, 3, values, seed=4)).astype(np.float64)
    place = generator.integers(0, first + rows + 5, (columns, 3)).astype(np.int32)
    ranks = generator.integers(0, 9, (columns, 3)).astype(np.int32)
    expected: list[list[Any]] = ranks.tolist()
    for c in range(columns):
        for k in range(3):
            for r in range(rows):
                value = scores[r, c] - offsets[r, k]
                tied = bool(value == best[c, k])
                expected[c][k] += bool(value > best[c, k]) or (tied and first + r > int(place[c, k]))
    rank_columns(scores, first, offsets, best, place, *bounds(offsets, best), ranks)
    assert ranks.tolist() == expected
