"""Products by another library are as exact as torch's, and only taken where they may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from raytrain.similarity import matmul
from raytrain.similarity.matmul import ROUTES, TOLERANCE, fastest, product, settle


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every product is large enough to be worth a choice."""
    monkeypatch.setattr(matmul, "SMALLEST", 0)
    yield
    settle(None)


def rows(number: int, columns: int, seed: int) -> Tensor:
    drawn = torch.randn(number, columns, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", list(ROUTES))
@pytest.mark.parametrize(("m", "n", "d"), [(2, 2, 3), (37, 5, 64), (64, 130, 300)])
def test_each_route_is_a_product_in_float32(name: str, m: int, n: int, d: int) -> None:
    settle(name)
    left, right = rows(m, d, 0), rows(2 * n, d, 1)[::2]  # one of them not contiguous
    exact = left.double() @ right.double().T
    assert float((product(left, right).double() - exact).abs().max()) < TOLERANCE


@pytest.mark.usefixtures("small")
def test_gradients_and_other_numbers_take_torchs_own_product(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(left: Tensor, right: Tensor) -> Tensor:
        raise AssertionError("taken")

    monkeypatch.setitem(ROUTES, "onednn", never)
    settle("onednn")
    left, right = rows(4, 8, 0), rows(3, 8, 1)
    product(left.requires_grad_(), right).sum().backward()
    assert left.grad is not None
    product(left.detach().double(), right.double())
    product(left.detach()[:1], right)  # a product with one vector rounds in another way
    with pytest.raises(AssertionError, match="taken"), torch.no_grad():
        product(left, right)


def test_a_route_that_is_less_exact_is_never_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROUTES, "onednn", lambda left, right: torch.zeros(len(left), len(right)))
    fastest.cache_clear()
    try:
        assert fastest(64, torch.get_num_threads()) == "torch"
        monkeypatch.setitem(ROUTES, "torch", lambda left, right: (left.bfloat16() @ right.bfloat16().T).float())
        fastest.cache_clear()
        assert fastest(64, torch.get_num_threads()) == "torch"  # nothing else is left
    finally:
        fastest.cache_clear()


def test_a_route_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="torch, onednn"):
        settle("abacus")
