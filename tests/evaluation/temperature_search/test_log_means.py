"""Log-mean-exps at many scales against plain float64 loops, by PyTorch and compiled, and the grids of scales."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.evaluation.temperature_search import log_means as log_means_module
from raytrain.evaluation.temperature_search.log_means import (
    Grid,
    log_means,
    map_in_threads,
    parts_of,
    powers_of,
    use_compiled,
)
from raytrain.evaluation.temperature_search.recalls import GRID
from tests.evaluation.temperature_search.grids import PATHS, SMALL, log_mean_by_hand, made_up, needs_numba


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("spread", [1.0, 40.0, 1e-3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (6, 131), (9, 5)])
def test_log_means_are_the_sums_written_out(shape: tuple[int, int], spread: float, compiled: bool) -> None:
    scores = made_up(*shape)[0] * spread
    rows = scores.tolist()
    columns = scores.T.tolist()
    for grid in (SMALL, GRID, Grid(170.0)):
        over_rows, over_columns = log_means(scores, grid, compiled=compiled)
        for k, scale in enumerate(grid.scales):
            expected = torch.tensor([log_mean_by_hand(column, scale) for column in columns], dtype=torch.float64)
            torch.testing.assert_close(over_rows.mean[k], expected, rtol=0, atol=2e-12 * spread)
            expected = torch.tensor([log_mean_by_hand(row, scale) for row in rows], dtype=torch.float64)
            torch.testing.assert_close(over_columns.mean[k], expected, rtol=0, atol=2e-12 * spread)


@pytest.mark.parametrize("compiled", PATHS)
def test_scores_far_apart_neither_overflow_nor_vanish(compiled: bool) -> None:
    # one shift for all would make exp(480 * 20) of this
    scores = torch.tensor([[20.0, 19.99, -20.0], [-20.0, -19.5, -20.0], [0.0, 1.0, -19.99]])
    over_rows, over_columns = log_means(scores, GRID, compiled=compiled)
    for k, scale in enumerate(GRID.scales):
        for actual, lists in ((over_rows, scores.T.tolist()), (over_columns, scores.tolist())):
            expected = torch.tensor([log_mean_by_hand(values, scale) for values in lists], dtype=torch.float64)
            torch.testing.assert_close(actual.mean[k], expected, rtol=0, atol=2e-11)


@needs_numba
def test_compiled_loops_on_several_threads_give_the_sums_of_the_pytorch_path() -> None:
    scores, _ = made_up(700, 260)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for compiled, plain in zip(
            log_means(scores, GRID, compiled=True), log_means(scores, GRID, compiled=False), strict=True
        ):
            torch.testing.assert_close(compiled.mean, plain.mean, rtol=0, atol=4e-12)
            torch.testing.assert_close(compiled.best_offset, plain.best_offset, rtol=0, atol=4e-12)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    scores, _ = made_up(5, 4)
    scores[2, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        log_means(scores, SMALL)


def test_a_grid_without_meaning_is_refused() -> None:
    for wrong in ({"first": 0.0}, {"steps": 3}, {"octaves": 0}, {"first": math.inf}):
        with pytest.raises(ValueError, match="power of two"):
            Grid(**wrong)  # type: ignore[arg-type]
    assert GRID.scales[0] == 2
    assert GRID.scales[-1] == 480
    assert 20.0 in GRID.scales


def test_only_the_requested_side_is_computed() -> None:
    scores, _ = made_up(7, 5)
    over_rows, over_columns = log_means(scores, SMALL)
    assert over_rows.mean.shape == (len(SMALL), 5) and over_columns.mean.shape == (len(SMALL), 7)
    for rows, columns in ((True, False), (False, True)):
        some_rows, some_columns = log_means(scores, SMALL, over_rows=rows, over_columns=columns)
        for some, whole, wanted in ((some_rows, over_rows, rows), (some_columns, over_columns, columns)):
            for one, other in zip(some, whole, strict=True):
                assert torch.equal(one, other if wanted else other[..., :0])
    with pytest.raises(ValueError, match="none empty"):
        log_means(torch.empty(0, 3), SMALL)


def test_powers_are_those_of_every_scale() -> None:
    exponents = torch.linspace(-0.3, 0.2, 6, dtype=torch.float64)
    for k, power in powers_of(exponents, SMALL):
        expected = [math.exp(SMALL.scales[k] * x) for x in exponents.tolist()]
        assert power.tolist() == pytest.approx(expected, rel=1e-12)
    assert k == len(SMALL) - 1


def test_parts_cover_the_range_and_threads_keep_their_order() -> None:
    assert parts_of(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parts_of(7, 3, 4) == [slice(4, 7)]
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            assert map_in_threads(lambda part: part.start, parts_of(10, 1)) == list(range(10))
    finally:
        torch.set_num_threads(threads)


def test_compiled_loops_take_float32_on_the_cpu_and_matrices_that_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    small = torch.zeros(2, 2)
    assert not use_compiled(small, None) and not use_compiled(small, False)
    with pytest.raises(ValueError, match="float32 scores on the CPU"):
        use_compiled(small.double(), True)
    monkeypatch.setattr(log_means_module, "has_numba", lambda: False)
    with pytest.raises(ValueError, match="needs numba"):
        use_compiled(small, True)
    monkeypatch.setattr(log_means_module, "has_numba", lambda: True)
    monkeypatch.setattr(log_means_module, "SMALL", 4)
    assert use_compiled(small, True) and use_compiled(small, None)
