from __future__ import annotations

import pytest
import torch

from raytrain.losses import mean_triplet, triplet_loss
from raytrain.losses.triplet import batch_negatives, batch_positives


def triplet_by_hand(s: list[list[float]], negative: list[list[bool]], margin: float, hardest: bool) -> float:
    """sum_i [m + s(i, j) - s(i, i)]+ over the hardest j or all j, in both directions."""
    total = 0.0
    for i in range(len(s)):
        for other in (lambda i, j: (s[i][j], negative[i][j]), lambda i, j: (s[j][i], negative[j][i])):
            costs = [max(0.0, margin + other(i, j)[0] - s[i][i]) for j in range(len(s)) if other(i, j)[1]]
            total += (max(costs) if hardest else sum(costs)) if costs else 0.0
    return total


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4], [0, 0, 1, 2, 2], [7, 7, 7, 7, 7]])
@pytest.mark.parametrize("same_image", ["masked", "negative"])
def test_triplet_equals_the_published_sums(ids: list[int], hardest: bool, same_image: str) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(5, 5, generator=generator, dtype=torch.float64)
    negatives = batch_negatives(torch.tensor(ids), same_image)
    expected = triplet_by_hand(scores.tolist(), negatives.tolist(), 0.2, hardest)
    assert triplet_loss(scores, negatives, 0.2, hardest).item() == pytest.approx(expected, abs=1e-12)


def test_a_batch_without_negatives_costs_nothing_and_has_a_finite_gradient() -> None:
    scores = torch.ones(3, 3, requires_grad=True)
    loss = triplet_loss(scores, batch_negatives(torch.zeros(3), "masked"))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_equal_scores_cost_the_margin_for_each_query() -> None:
    negatives = batch_negatives(torch.arange(4), "masked")
    assert triplet_loss(torch.zeros(4, 4), negatives, 0.2).item() == pytest.approx(2 * 4 * 0.2)


def test_another_caption_of_the_image_is_a_negative_only_where_asked() -> None:
    ids = torch.tensor([3, 3, 5])
    assert batch_negatives(ids, "masked").tolist() == [[False, False, True], [False, False, True], [True, True, False]]
    assert batch_negatives(ids, "negative").tolist()[0] == [False, True, True]


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [0, 0, 1, 2], [7, 7, 7, 7]])
@pytest.mark.parametrize("same_image", ["masked", "negative"])
def test_mean_triplet_averages_hinges_whose_diagonal_counts_as_zero(
    ids: list[int], hardest: bool, same_image: str
) -> None:
    scores = torch.rand(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    negatives = batch_negatives(torch.tensor(ids), same_image)
    expected = 0.0
    for transposed in (scores, scores.T):
        s = transposed.tolist()
        rows = [
            [max(0.0, 0.1 + s[i][j] - s[i][i]) if bool(negatives[i, j]) else 0.0 for j in range(4)] for i in range(4)
        ]
        expected += sum(max(row) for row in rows) / 4 if hardest else sum(sum(row) for row in rows) / 16
    assert mean_triplet(scores, negatives, 0.1, hardest).item() == pytest.approx(expected, abs=1e-12)


def test_captions_of_one_image_match_it_unless_a_pair_matches_itself_alone() -> None:
    ids = torch.tensor([3, 3, 5])
    assert batch_positives(ids, "image").tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert batch_positives(ids, "pair").tolist() == torch.eye(3, dtype=torch.bool).tolist()
