"""float32 whatever autocast asks for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain.similarity.precision import in_float32, l2_normalize, tf32, wide


@in_float32
def product(left: Tensor, right: Tensor, *, times: float = 1.0) -> Tensor:
    return times * left @ right.T


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_product_is_that_of_float32_under_autocast(half: torch.dtype) -> None:
    rows = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", half):
        assert (rows @ rows.T).dtype == half
        inside = product(rows, rows, times=2.0)
        of_halves = product(rows.to(half), rows)
    assert torch.equal(inside, 2 * rows @ rows.T)
    assert of_halves.dtype == torch.float32


def test_wider_types_and_numbers_without_a_point_stay_as_they_are() -> None:
    rows = torch.ones(2, 3, dtype=torch.float64)
    assert wide(rows) is rows
    assert product(rows, rows).dtype == torch.float64
    count = torch.ones(2, 3, dtype=torch.int64)
    assert in_float32(lambda numbers: numbers)(count) is count


def test_half_precision_vectors_get_unit_length_in_float32() -> None:
    rows = torch.randn(5, 33, generator=torch.Generator().manual_seed(0))
    unit = l2_normalize(rows.bfloat16())
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(5), rtol=0, atol=1e-6)
    assert l2_normalize(torch.zeros(1, 3)).eq(0).all()


def test_tf32_is_allowed_inside_only_and_never_in_scores() -> None:
    flags = torch.backends.cuda.matmul
    seen: list[bool] = []

    @in_float32
    def score(rows: Tensor) -> Tensor:
        seen.append(flags.allow_tf32)
        return rows

    before = flags.allow_tf32, torch.backends.cudnn.allow_tf32
    with tf32(True):
        assert flags.allow_tf32 and torch.backends.cudnn.allow_tf32
        score(torch.ones(1))
    assert seen == [False]
    assert (flags.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.parametrize("dim", [-1, 1])
def test_the_gradient_of_unit_rows_is_that_of_a_norm_and_a_division(dim: int) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 4, 5, generator=draw, dtype=torch.float64)
    rows[0, 0], rows[:, 0, 0], rows[1, 2] = 0.0, 1e-14, 1e-14  # rows that are divided by eps
    slopes = torch.randn(3, 4, 5, generator=draw, dtype=torch.float64)

    def outcome(way: Any) -> tuple[torch.Tensor, torch.Tensor]:
        own = rows.clone().requires_grad_()
        unit = way(own, dim=dim)
        return unit, torch.autograd.grad((unit * slopes).sum(), own)[0]

    for actual, expected in zip(outcome(l2_normalize), outcome(torch.nn.functional.normalize), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
