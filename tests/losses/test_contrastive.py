from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.losses import cross_sample, info_nce, likely_positives, set_info_nce
from raytrain.losses.contrastive import further_positives


def cosines(size: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(size, size, generator=generator, dtype=torch.float64) * 2 - 1


def softmax_by_hand(row: list[float], scale: float) -> list[float]:
    total = sum(math.exp(scale * score) for score in row)
    return [math.exp(scale * score) / total for score in row]


def info_nce_by_hand(s: list[list[float]], scale: float) -> float:
    return sum(-math.log(softmax_by_hand(row, scale)[i]) for i, row in enumerate(s)) / len(s)


def cross_sample_by_hand(s: list[list[float]], positive: list[list[bool]], scale: float, form: str) -> float:
    """The sums of the two forms, a query at a time."""
    total = 0.0
    for i, row in enumerate(s):
        p = softmax_by_hand(row, scale)
        chosen = [p[j] for j in range(len(s)) if j == i or positive[i][j]]
        total += -math.log(sum(chosen)) if form == "soft" else sum(-math.log(share) for share in chosen) / len(chosen)
    return total / len(s)


def quantile_by_hand(s: list[list[float]], share: float) -> float:
    """The least off-diagonal score that at least this share, of the steps between them, lies at or below."""
    others = sorted(s[i][j] for i in range(len(s)) for j in range(len(s)) if i != j)
    return others[math.ceil(share * (len(others) - 1))]


@pytest.mark.parametrize("scale", [1.0, 1 / 0.07])
def test_info_nce_equals_the_published_sums(scale: float) -> None:
    scores = cosines()
    one_way = info_nce_by_hand(scores.tolist(), scale)
    other_way = info_nce_by_hand(scores.T.tolist(), scale)
    assert info_nce(scores, scale).item() == pytest.approx(one_way, rel=1e-12)
    assert info_nce(scores, scale, symmetric=True).item() == pytest.approx((one_way + other_way) / 2, rel=1e-12)


@pytest.mark.parametrize("form", ["soft", "supcon"])
@pytest.mark.parametrize("scale", [1.0, 1 / 0.07])
@pytest.mark.parametrize("theta", [-1.0, 0.2, 0.7])
def test_cross_sample_equals_its_sums(form: str, scale: float, theta: float) -> None:
    scores = cosines()
    positives = likely_positives(scores, theta)
    assert positives.tolist() == [
        [i == j or score >= theta for j, score in enumerate(row)] for i, row in enumerate(scores.float().tolist())
    ]
    expected = cross_sample_by_hand(scores.tolist(), positives.tolist(), scale, form)
    assert cross_sample(scores, positives, scale, form).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_a_quantile_counts_off_the_diagonal_alone(share: float) -> None:
    scores = cosines(6) + 5 * torch.eye(6, dtype=torch.float64)
    threshold = quantile_by_hand(scores.float().tolist(), share)
    expected = torch.eye(6, dtype=torch.bool) | (scores.float() >= threshold)
    assert torch.equal(likely_positives(scores, share, "quantile"), expected)


def test_a_quantile_does_not_depend_on_the_scale_of_the_cosines() -> None:
    scores = cosines(8)
    narrow = 0.7 + 0.1 * scores
    assert torch.equal(likely_positives(scores, 0.9, "quantile"), likely_positives(narrow, 0.9, "quantile"))
    assert not torch.equal(likely_positives(scores, 0.75), likely_positives(narrow, 0.75))


@pytest.mark.parametrize("form", ["soft", "supcon"])
def test_without_further_positives_cross_sample_is_info_nce(form: str) -> None:
    scores = cosines()
    none = torch.zeros(5, 5, dtype=torch.bool)
    torch.testing.assert_close(cross_sample(scores, none, 10.0, form), info_nce(scores, 10.0))


def test_soft_is_zero_where_everything_is_positive() -> None:
    scores = cosines().requires_grad_()
    loss = cross_sample(scores, torch.ones(5, 5, dtype=torch.bool), 10.0)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("form", ["soft", "supcon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 4])
def test_gradients_are_finite_at_the_edges(form: str, dtype: torch.dtype, size: int) -> None:
    for scores in (torch.ones(size, size), -torch.eye(size), torch.eye(size) - 2):
        given = scores.to(dtype).requires_grad_()
        for mode, theta in (("absolute", 0.9), ("quantile", 0.9)):
            loss = cross_sample(given, likely_positives(given, theta, mode), 200.0, form) + info_nce(given, 200.0, True)
            (gradient,) = torch.autograd.grad(loss, given)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()


def test_the_mask_takes_no_gradient() -> None:
    scores = cosines().requires_grad_()
    assert not likely_positives(scores, 0.5).requires_grad
    assert not likely_positives(scores, 0.5, "quantile").requires_grad


def test_the_share_of_further_positives_leaves_the_diagonal_out() -> None:
    assert further_positives(torch.eye(4, dtype=torch.bool)).item() == 0
    assert further_positives(torch.ones(4, 4, dtype=torch.bool)).item() == 1
    assert further_positives(torch.ones(1, 1, dtype=torch.bool)).item() == 0


def test_the_share_of_further_positives_counts_no_pair_that_the_loss_ignores() -> None:
    positives, ignored = torch.eye(4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)
    positives[0, 1] = positives[2, 3] = positives[3, 0] = ignored[0, 1] = ignored[1, 2] = ignored[2, 2] = True
    assert further_positives(positives, ignored).item() == pytest.approx(2 / 12)
    assert further_positives(positives).item() == pytest.approx(3 / 12)


def test_names_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="absolute and quantile"):
        likely_positives(cosines(), 0.5, "abs")
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        likely_positives(cosines(), 1.5, "quantile")
    with pytest.raises(ValueError, match="soft and supcon"):
        cross_sample(cosines(), torch.eye(5, dtype=torch.bool), 1.0, "hard")


@pytest.mark.parametrize("form", ["soft", "supcon"])
def test_half_precision_scores_lose_nothing_more_in_the_sums(form: str) -> None:
    half = cosines(16).bfloat16()
    positives = likely_positives(half, 0.8, "quantile")
    assert torch.equal(cross_sample(half, positives, 100.0, form), cross_sample(half.float(), positives, 100.0, form))
    assert torch.equal(info_nce(half, 100.0), info_nce(half.float(), 100.0))


def set_info_nce_by_hand(s: list[list[float]], positive: list[list[bool]], scale: float) -> float:
    """-log of each positive pair's share among itself and the negatives of its query, and of its item."""
    queries, items, total, pairs = range(len(s)), range(len(s[0])), 0.0, 0
    for q in queries:
        for g in items:
            if not positive[q][g]:
                continue
            pairs += 1
            own = math.exp(scale * s[q][g])
            of_query = own + sum(math.exp(scale * s[q][j]) for j in items if not positive[q][j])
            of_item = own + sum(math.exp(scale * s[i][g]) for i in queries if not positive[i][g])
            total -= math.log(own / of_query) + math.log(own / of_item)
    return total / (2 * max(pairs, 1))


@pytest.mark.parametrize("positive", [[[0], [1], [1], [2], [2]], [[0], [0], [0], [0], [0]], [[], [], [], [], []]])
def test_info_nce_of_sets_equals_the_sums_over_positive_pairs(positive: list[list[int]]) -> None:
    scores = cosines()[:, :3].clone().requires_grad_()
    mask = torch.tensor([[g in row for g in range(3)] for row in positive])
    loss = set_info_nce(scores, mask, 5.0)
    assert loss.item() == pytest.approx(set_info_nce_by_hand(scores.tolist(), mask.tolist(), 5.0), abs=1e-12)
    loss.backward()
    assert scores.grad is not None and torch.isfinite(scores.grad).all()


def test_info_nce_of_sets_with_one_caption_each_is_the_symmetric_one() -> None:
    torch.testing.assert_close(
        set_info_nce(cosines(), torch.eye(5, dtype=torch.bool), 3.0), info_nce(cosines(), 3.0, symmetric=True)
    )
