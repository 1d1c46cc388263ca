from __future__ import annotations

import math

import pytest
import torch

from raytrain.encoders.pooling import GPO, MaxPooling, MeanPooling, position_codes


def gpo_by_hand(gpo: GPO, features: torch.Tensor) -> torch.Tensor:
    """One set of n members, without padding: codes, GRU, score, softmax(score / 0.1), sort each dimension, sum."""
    n, dim = features.shape
    codes = torch.zeros(n, gpo.code_dim)
    for p in range(n):
        for i in range(0, gpo.code_dim, 2):
            codes[p, i] = math.sin(p / 10000 ** (i / gpo.code_dim))
            codes[p, i + 1] = math.cos(p / 10000 ** (i / gpo.code_dim))
    torchs = torch.nn.GRU(gpo.code_dim, gpo.gru.hidden_size, bidirectional=True)
    torchs.load_state_dict(gpo.gru.state_dict())
    states = torchs(codes[:, None])[0][:, 0]
    half = states.shape[-1] // 2
    scores = [gpo.score((states[p, :half] + states[p, half:]) / 2).item() / 0.1 for p in range(n)]
    weights = [math.exp(s - max(scores)) for s in scores]
    weights = [w / sum(weights) for w in weights]
    return torch.tensor(
        [
            sum(w * x for w, x in zip(weights, sorted(features[:, d].tolist(), reverse=True), strict=True))
            for d in range(dim)
        ]
    )


def test_gpo_equals_the_paper_set_by_set_whatever_the_padding() -> None:
    torch.manual_seed(0)
    gpo = GPO(8, 8)
    lengths = [1, 3, 7, 3]
    features = torch.randn(4, 7, 5)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    actual = gpo(features, mask)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(actual[row], gpo_by_hand(gpo, features[row, :length]), rtol=1e-4, atol=1e-5)


def test_masked_members_count_for_nothing_wherever_they_stand() -> None:
    torch.manual_seed(0)
    gpo = GPO(8, 8)
    features = torch.randn(1, 5, 4)
    mask = torch.tensor([[True, False, True, True, False]])
    torch.testing.assert_close(gpo(features, mask), gpo(features[:, mask[0]], torch.ones(1, 3, dtype=torch.bool)))


def test_the_gradient_is_finite_with_padding() -> None:
    gpo = GPO(8, 8)
    features = torch.randn(2, 4, 3, requires_grad=True)
    gpo(features, torch.tensor([[True] * 4, [True, False, False, False]])).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert features.grad[1, 1:].abs().sum() == 0
    assert all(torch.isfinite(p.grad).all() for p in gpo.parameters() if p.grad is not None)


@pytest.mark.parametrize(("pool", "expected"), [(MeanPooling(), [2.0, 3.0]), (MaxPooling(), [3.0, 4.0])])
def test_mean_and_max_see_the_real_members(pool: torch.nn.Module, expected: list[float]) -> None:
    features = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    assert pool(features, torch.tensor([[True, True, False]]))[0].tolist() == expected


def test_position_codes_alternate_sine_and_cosine() -> None:
    codes = position_codes(3, 4)
    assert codes[0].tolist() == [0, 1, 0, 1]
    assert codes[2, 2].item() == pytest.approx(math.sin(2 / 100), rel=1e-5)
