"""Operations of a step, counted in small ones and calculated for others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.step_cost import SMALL_STEPS, StepCost, Work, WorkCounter, _solve, count_step, step_cost
from raytrain.data.table import Table
from raytrain.training.input_sizes import Sizes
from tests.gpu.steps import STEPS
from tests.runs import tiny

SIZES = Sizes(regions=3, region_features=6, tokens=4, token_features=5, words=12, captions=2)


def cost_of(name: str, table: Table, folder: Path) -> StepCost:
    return step_cost(tiny(table, folder, **STEPS[name]), SIZES)


def test_products_and_moved_bytes_by_hand() -> None:
    """(2, 3) by (3, 4): 2 x 24 operations; a sum reads 8 numbers and writes one; a view moves nothing."""
    left, right = torch.ones(2, 3), torch.ones(3, 4)
    with WorkCounter() as counter:
        (left @ right).view(-1).sum()
    assert counter.work() == Work(48, 4 * (8 + 1))


@pytest.mark.parametrize("own_rows", [True, False])
def test_small_steps_give_the_parts_of_the_work(own_rows: bool) -> None:
    fixed, own, gathered, pairs = Work(1000, 7), Work(30, 5), Work(11, 3), Work(2, 1)
    compared = Work(4, 2) if own_rows else Work()

    def work(units: int, ranks: int) -> Work:
        rows = units * ranks
        return fixed.plus(own, units).plus(gathered, rows).plus(compared, units * rows).plus(pairs, rows**2)

    assert _solve([work(*step) for step in SMALL_STEPS], own_rows) == (fixed, own, gathered, compared, pairs)


@pytest.mark.parametrize(
    ("name", "apart"),
    # below 26 rows torch computes the distances of DivE's discrepancy without a product
    [("vse_infinity", 0.0), ("dvse", 0.0), ("query-rau", 0.0), ("dive-words", 0.05)],
)
def test_small_steps_foretell_the_operations_of_another(name: str, apart: float, table: Table, tmp_path: Path) -> None:
    """Products to the operation; moved bytes to 2 %, since some copies depend on how rows fall into blocks."""
    cost = cost_of(name, table, tmp_path)
    counted = count_step(cost.config, SIZES, 6, 5).work
    expected = cost.fixed.plus(cost.own, 6).plus(cost.gathered, 30).plus(cost.compared, 6 * 30).plus(cost.pairs, 30**2)
    assert expected.products == pytest.approx(counted.products, rel=apart)
    assert expected.moved == pytest.approx(counted.moved, rel=max(apart, 0.02))
