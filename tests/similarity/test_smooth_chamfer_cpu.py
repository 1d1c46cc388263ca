"""The compiled smooth-Chamfer against its equation in float64, and against torch's path."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain import similarity

pytest.importorskip("numba", reason="needs the extra `fast`; without it torch's path is taken")

from raytrain.similarity.smooth_chamfer_cpu import WIDTH, smooth_chamfer_of_cosines


def by_hand(cosines: list[list[float]], alpha: float) -> float:
    """Equation 2 of DivE, one sum at a time; fsum and shifts by the largest, so that alpha 200 is exact too."""

    def log_sum_exp(values: list[float]) -> float:
        top = max(values)
        return top + math.log(math.fsum(math.exp(value - top) for value in values))

    rows = [log_sum_exp([alpha * c for c in row]) for row in cosines]
    columns = [log_sum_exp([alpha * row[j] for row in cosines]) for j in range(len(cosines[0]))]
    return math.fsum(rows) / (2 * alpha * len(rows)) + math.fsum(columns) / (2 * alpha * len(columns))


def unlike(elements: int, others: int) -> Tensor:
    """(3, K, J, 2) cosines that overflow, or lose a row, where exponentials are not shifted by their row's largest."""
    draw = torch.Generator().manual_seed(elements * 100 + others)
    cosines = 2 * torch.rand(3, elements, others, 2, generator=draw) - 1
    cosines[0, :, :, 0] = 1.0  # exp(200) is no float32 number
    cosines[0, :, :, 1] = -1.0
    cosines[1, 0, :, 0], cosines[1, 1:, :, 0] = 1.0, -1.0  # rows that differ by 400 at alpha 200
    cosines[1, :, 0, 1], cosines[1, :, 1:, 1] = -1.0, 1.0
    return cosines


@pytest.mark.parametrize("alpha", [1.0, 16.0, 88.0, 200.0])
@pytest.mark.parametrize(("elements", "others"), [(1, 1), (4, 4), (2, 5), (7, 1), (1, 3), (40, 36)])
def test_the_kernel_equals_the_equation_whatever_the_cosines(elements: int, others: int, alpha: float) -> None:
    cosines = unlike(elements, others)
    actual = smooth_chamfer_of_cosines(cosines, alpha).double()
    expected = [[by_hand(rows[:, :, g].tolist(), alpha) for g in range(2)] for rows in cosines]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("items", [1, WIDTH - 1, WIDTH, WIDTH + 1, 3 * WIDTH + 5])
def test_torch_and_the_kernel_agree_on_sets(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(items)
    query, gallery = (
        torch.nn.functional.normalize(torch.randn(shape, generator=draw), dim=-1)
        for shape in ((5, 3, 16), (items, 4, 16))
    )
    fused = similarity.smooth_chamfer(query, gallery, 16.0)
    monkeypatch.setattr("raytrain.similarity.functions.module_with_numba", lambda name: None)
    by_torch = similarity.smooth_chamfer(query, gallery, 16.0)
    exact = similarity.smooth_chamfer(query.double(), gallery.double(), 16.0)
    torch.testing.assert_close(fused, by_torch, rtol=0, atol=3e-7)
    torch.testing.assert_close(fused.double(), exact, rtol=0, atol=2e-7)


def test_a_score_does_not_depend_on_where_its_pair_stands_nor_on_threads() -> None:
    draw = torch.Generator().manual_seed(0)
    cosines = 2 * torch.rand(6, 4, 4, WIDTH + 3, generator=draw) - 1
    whole = smooth_chamfer_of_cosines(cosines, 16.0)
    for first in (0, 1, WIDTH, WIDTH + 2):
        assert torch.equal(smooth_chamfer_of_cosines(cosines[..., first:].contiguous(), 16.0), whole[:, first:])
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            assert torch.equal(smooth_chamfer_of_cosines(cosines, 16.0), whole)
    finally:
        torch.set_num_threads(threads)


def test_nan_stays_nan_and_stays_with_its_pair() -> None:
    cosines = torch.zeros(2, 2, 3, 4)
    cosines[1, 0, 2, 3] = torch.nan
    cosines[0, 0, 0, 0] = torch.nan
    actual = smooth_chamfer_of_cosines(cosines, 16.0).isnan()
    assert actual.nonzero().tolist() == [[0, 0], [1, 3]]


def test_the_kernel_is_left_out_where_a_gradient_is_wanted_or_the_numbers_are_wider() -> None:
    query, gallery = torch.randn(2, 3, 4, requires_grad=True), torch.randn(5, 2, 4)
    assert similarity.smooth_chamfer(query, gallery, 2.0).requires_grad
    assert similarity.smooth_chamfer(query.detach().double(), gallery.double(), 2.0).dtype == torch.float64
    assert not similarity.smooth_chamfer(query.detach(), gallery, 2.0).requires_grad
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert similarity.smooth_chamfer(query, gallery, 2.0).dtype == torch.float32
