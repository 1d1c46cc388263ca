"""The compiled weighted sum over ranks against torch's sort, with and without padding, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba", reason="needs the extra `fast`; without it torch's sort is taken")

from raytrain.encoders import pooling
from raytrain.encoders.compiled.ranked_sum import WIDTH, _network, ranked_sum
from raytrain.encoders.pooling import GPO


def by_sort(features: Tensor, weights: Tensor, real: Tensor) -> Tensor:
    """Set by set, by torch's sort."""
    ordered = [features[b, real[b]].sort(0, descending=True).values for b in range(len(features))]
    return torch.stack([weights[b, : len(ranks)] @ ranks for b, ranks in enumerate(ordered)])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 17, 36, 70])
def test_the_network_sorts_every_row_of_zeros_and_ones_it_is_given(count: int) -> None:
    """A network that sorts all of them sorts everything; here all cuts of a row in all rotations, and random ones."""
    draw = torch.Generator().manual_seed(count)
    cuts = torch.triu(torch.ones(count, count)).long()
    rows = torch.cat(
        [cuts.roll(turn, 1) for turn in range(count)] + [torch.randint(0, 2, (500, count), generator=draw)]
    )
    for high, low in _network(count):
        rows[:, [high, low]] = torch.stack([rows[:, [high, low]].amax(1), rows[:, [high, low]].amin(1)], 1)
    assert (rows[:, 1:] <= rows[:, :-1]).all()


@pytest.mark.parametrize(("longest", "dim"), [(1, 3), (5, WIDTH), (36, WIDTH + 1), (70, 2 * WIDTH + 7)])
@pytest.mark.parametrize("padded", [False, True])
def test_sums_and_gradients_are_those_of_a_sort(longest: int, dim: int, padded: bool) -> None:
    draw = torch.Generator().manual_seed(longest)
    features = torch.randn(4, longest, dim, generator=draw)
    features[0, :, 0] = torch.linspace(-1e-38, 1e-39, longest)  # subnormal numbers keep their order
    weights = torch.randn(4, longest, generator=draw).softmax(1)
    real = torch.rand(4, longest, generator=draw) < (0.6 if padded else 1.1)
    real[:, -1] = True
    slopes = torch.randn(4, dim, generator=draw)

    def outcome(kind: torch.dtype) -> list[Tensor]:
        own, own_weights = (tensor.to(kind).requires_grad_() for tensor in (features, weights))
        sums = (ranked_sum if kind == torch.float32 else by_sort)(own, own_weights, real)
        return [sums, *torch.autograd.grad((sums * slopes).sum(), (own, own_weights))]

    for actual, expected in zip(outcome(torch.float32), outcome(torch.float64), strict=True):
        assert float((actual - expected).detach().norm() / expected.detach().norm()) < 1e-6


def test_what_is_not_finite_is_not_hidden() -> None:
    features = torch.zeros(3, 4, 2)
    features[0, 2, 0], features[1, 1, 0], features[2, 0, 0] = math.nan, math.inf, -math.inf
    sums = ranked_sum(features, torch.full((3, 4), 0.25), torch.ones(3, 4, dtype=torch.bool))
    assert [bool(row.isfinite()) for row in sums[:, 0]] == [False, False, False]
    assert sums[1, 0] == math.inf and sums[2, 0] == -math.inf
    assert (sums[:, 1] == 0).all()


def test_number_of_threads_changes_nothing() -> None:
    draw = torch.Generator().manual_seed(0)
    features, weights = torch.randn(7, 6, 5, generator=draw), torch.rand(7, 6, generator=draw)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            own = features.clone().requires_grad_()
            sums = ranked_sum(own, weights, torch.ones(7, 6, dtype=torch.bool))
            sums.sum().backward()
            results.append((sums.tolist(), own.grad.tolist() if own.grad is not None else None))
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("features", "taken"),
    [
        (torch.zeros(1, 256, 128), True),
        (torch.zeros(1, 257, 128), False),
        (torch.zeros(1, 256, 127), False),
        (torch.zeros(1, 2, 128, dtype=torch.float64), False),
        (torch.zeros(1, 2, 128, dtype=torch.bfloat16), False),
        (torch.zeros(1, 2, 128, device="meta"), False),
    ],
)
def test_it_is_taken_where_it_applies(features: Tensor, taken: bool) -> None:
    assert (pooling._compiled(features) is not None) == taken


def test_gpo_is_the_same_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    gpo, features, mask = GPO(8, 8), torch.randn(5, 9, 130), torch.rand(5, 9) < 0.7
    mask[:, 0] = True
    outcomes = []
    for way in (pooling._compiled, lambda features: None):
        monkeypatch.setattr(pooling, "_compiled", way)
        own = features.clone().requires_grad_()
        pooled = gpo(own, mask)
        outcomes.append([pooled, *torch.autograd.grad(pooled.square().sum(), [own, *gpo.parameters()])])
    for actual, expected in zip(*outcomes, strict=True):
        assert float((actual - expected).detach().norm() / expected.detach().norm()) < 1e-6
