"""PCME's likelihood of pairs of samples, PCME++'s cross entropy, and pseudo-positives, against plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.losses import match_cross_entropy, match_nll, pseudo_positives
from raytrain.losses.match_probability import pseudo_share

MATCHED = torch.tensor([[True, False, False], [False, True, True], [False, True, True]])


def drawn(*shape: int, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("k", "j"), [(1, 1), (7, 7), (2, 3)])
def test_the_likelihood_equals_the_published_sums(k: int, j: int) -> None:
    logits = drawn(3, k, 3, j)
    expected = 0.0
    for q in range(3):
        for g in range(3):
            total = 0.0
            for a in range(k):
                for b in range(j):
                    l = logits[q, a, g, b].item()  # noqa: E741
                    match = math.exp(l) / (math.exp(l) + math.exp(-l))
                    total += match if bool(MATCHED[q, g]) else 1 - match
            expected -= math.log(total / (k * j))
    assert match_nll(logits, MATCHED).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_the_likelihood_is_finite_where_probabilities_are_nought_or_one(scale: float) -> None:
    logits = drawn(3, 2, 3, 2, scale=scale).float().requires_grad_()
    loss = match_nll(logits, MATCHED)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    if scale == 0:
        assert loss.item() == pytest.approx(9 * math.log(2))


def test_cross_entropy_is_a_mean_over_all_pairs_and_takes_soft_labels() -> None:
    logits = drawn(3, 3)
    for labels in (MATCHED, torch.rand(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)):
        expected = 0.0
        for q in range(3):
            for g in range(3):
                p, label = 1 / (1 + math.exp(-logits[q, g].item())), float(labels[q, g])
                expected -= (label * math.log(p) + (1 - label) * math.log(1 - p)) / 9
        assert match_cross_entropy(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_what_scores_at_least_as_high_as_the_own_pair_has_its_label() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, -1.0], [3.0, 0.0, 2.0]], requires_grad=True)
    matched = torch.tensor([[True, False, False], [False, True, True], [False, False, True]])
    labels = pseudo_positives(logits, matched)
    assert labels.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 1]]
    assert not labels.requires_grad
    assert pseudo_share(logits, matched).item() == pytest.approx(3 / 9)  # the match of row 2 was one before
    soft = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]])
    expected = [[0.7, 0.7, 0.0], [0.7, 0.7, 0.3], [0.7, 0.0, 0.7]]
    torch.testing.assert_close(pseudo_positives(logits, soft), torch.tensor(expected))


def test_where_the_greater_part_is_another_image_that_one_is_the_measure() -> None:
    logits = torch.tensor([[0.0, 5.0, 7.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    mixed = torch.tensor([[0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.0, 0.0, 1.0]])
    expected = [[0.1, 0.9, 0.9], [0.9, 0.9, 0.9], [0.0, 0.0, 1.0]]  # no label falls
    torch.testing.assert_close(pseudo_positives(logits, mixed), torch.tensor(expected))
