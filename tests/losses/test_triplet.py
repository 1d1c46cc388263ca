"""Triplet losses of pairs and of sets against plain loops over positives and negatives, and their edges."""

from __future__ import annotations

import pytest
import torch

from raytrain.losses import mean_triplet, set_triplet, triplet_loss
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


def set_triplet_by_hand(s: list[list[float]], owner: list[int], images: int, margin: float, mining: str) -> float:
    """Both directions: a loop over positive pairs, and over the negatives of each."""
    pairs = [(q, g) for q in range(len(owner)) for g in range(images) if owner[q] == g]
    total = 0.0
    for direction in ("t2i", "i2t"):
        hardest, every = [], []
        for q, g in pairs:
            if direction == "t2i":
                costs = [max(0.0, margin + s[q][j] - s[q][g]) for j in range(images) if owner[q] != j]
            else:
                costs = [max(0.0, margin + s[n][g] - s[q][g]) for n in range(len(owner)) if owner[n] != g]
            hardest.append(max(costs, default=0.0))
            every += costs
        if mining == "hardest":
            total += sum(hardest) / len(hardest)
        elif mining == "mean":
            total += sum(every) / len(every)
        else:
            cut = [min(cost, margin) for cost in every]
            total += sum(cut) / max(1, sum(cost > 0 for cost in cut))
    return total


@pytest.mark.parametrize("mining", ["hardest", "mean", "semi_hard"])
@pytest.mark.parametrize("owner", [[0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2], [2, 0, 1]])
def test_triplet_of_all_captions_equals_the_published_means(owner: list[int], mining: str) -> None:
    scores = torch.rand(len(owner), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positives = torch.tensor(owner)[:, None] == torch.arange(3)
    expected = set_triplet_by_hand(scores.tolist(), owner, 3, 0.2, mining)
    assert set_triplet(scores, positives, 0.2, mining).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mining", ["hardest", "mean"])
def test_a_collapsed_model_costs_twice_the_margin_whatever_the_batch(mining: str) -> None:
    for images in (3, 9):
        positives = torch.arange(images).repeat_interleave(5)[:, None] == torch.arange(images)
        assert set_triplet(torch.ones(5 * images, images), positives, 0.2, mining).item() == pytest.approx(0.4)


@pytest.mark.parametrize("mining", ["hardest", "mean", "semi_hard"])
def test_one_image_alone_has_no_negatives_and_a_finite_gradient(mining: str) -> None:
    scores = torch.ones(3, 1, requires_grad=True)
    loss = set_triplet(scores, torch.ones(3, 1, dtype=torch.bool), 0.2, mining)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_a_semi_hard_loss_leaves_negatives_above_their_positive_alone() -> None:
    scores = torch.tensor([[0.5, 0.9, 0.4]], requires_grad=True)
    set_triplet(scores, torch.tensor([[True, False, False]]), 0.2, "semi_hard").backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert scores.grad[0, 2] > 0


def test_an_unknown_mining_shows_the_choices() -> None:
    with pytest.raises(ValueError, match="hardest, mean and semi_hard"):
        set_triplet(torch.zeros(1, 2), torch.tensor([[True, False]]), 0.2, "hard")
