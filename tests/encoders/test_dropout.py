"""Dropout: as many zeros as asked for, the mean kept, the same mask backward, nothing outside of training."""

from __future__ import annotations

import pytest
import torch

from raytrain.encoders.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_a_share_p_is_zero_and_the_rest_is_divided_by_1_minus_p(p: float) -> None:
    torch.manual_seed(0)
    count = 200_000
    output = Dropout(p)(torch.full((count,), 3.0))
    dropped = output == 0
    four_deviations = 4 * (p * (1 - p) / count) ** 0.5
    assert float(dropped.float().mean()) == pytest.approx(p, abs=four_deviations)
    torch.testing.assert_close(output[~dropped], torch.full((count - int(dropped.sum()),), 3 / (1 - p)))


def test_elements_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.3)(torch.ones(100_000)) == 0).float()
    neighbours = torch.corrcoef(torch.stack([dropped[:-1], dropped[1:]]))
    assert abs(float(neighbours[0, 1])) < 4 / 100_000**0.5


def test_the_gradient_has_the_mask_of_the_output() -> None:
    rows = torch.randn(20, 7).t().requires_grad_()  # not contiguous
    output = Dropout(0.4)(rows)
    output.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(rows.grad, torch.where(output == 0, 0.0, 1 / 0.6))


def test_one_seed_gives_one_mask_and_another_call_another() -> None:
    dropout, ones = Dropout(0.5), torch.ones(64)
    torch.manual_seed(3)
    first, second = dropout(ones), dropout(ones)
    torch.manual_seed(3)
    assert torch.equal(dropout(ones), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    output = Dropout(0.5)(torch.ones(1000, dtype=dtype))
    assert output.dtype == dtype
    assert set(output.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_and_everything(p: float) -> None:
    ones = torch.ones(5)
    assert torch.equal(Dropout(p)(ones), ones * (1 - p))


def test_outside_of_training_rows_pass_as_they_are() -> None:
    rows = torch.randn(4, 4)
    assert Dropout(0.9).eval()(rows) is rows
