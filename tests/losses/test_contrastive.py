from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.losses import (
    cross_sample,
    cross_sample_of,
    info_nce,
    likely_positives,
    log_shares,
    own_pair_nce,
    set_info_nce,
)
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


def own_term(own: float, negatives: list[float], scale: float) -> float:
    """-log of a pair's share in the softmax of itself and its negatives."""
    total = math.exp(scale * own) + sum(math.exp(scale * score) for score in negatives)
    return -math.log(math.exp(scale * own) / total)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_term_of_a_row_is_that_of_its_own_pair_and_its_negatives(scale: float) -> None:
    views = torch.stack([cosines(5), cosines(5, 1)])
    images = torch.tensor([0, 0, 1, 2, 3])
    negatives = images[:, None] != images[None]
    terms = own_pair_nce(views, negatives, scale)
    for k, view in enumerate(views.tolist()):
        for i, row in enumerate(view):
            others = [row[j] for j in range(5) if images[j] != images[i]]
            assert terms[k, i].item() == pytest.approx(own_term(row[i], others, scale), rel=1e-9)
    both = (own_pair_nce(views[0], negatives, scale).mean() + own_pair_nce(views[0].T, negatives, scale).mean()) / 2
    torch.testing.assert_close(both, info_nce(views[0], scale, symmetric=True, ignored=~negatives))


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_sets_of_captions_stand_in_one_softmax_per_positive_pair(scale: float) -> None:
    captions_of = [0, 0, 1, 2, 2, 2]
    scores = cosines(6)[:, :3]
    positives = torch.tensor(captions_of)[:, None] == torch.arange(3)
    s, total = scores.tolist(), 0.0
    for q, g in enumerate(captions_of):
        total += own_term(s[q][g], [s[q][j] for j in range(3) if j != g], scale)
        total += own_term(s[q][g], [s[p][g] for p in range(6) if captions_of[p] != g], scale)
    assert set_info_nce(scores, positives, scale).item() == pytest.approx(total / 12, rel=1e-9)
    pairs = cosines(4)
    torch.testing.assert_close(
        set_info_nce(pairs, torch.eye(4, dtype=torch.bool), scale), info_nce(pairs, scale, symmetric=True)
    )


def test_a_pair_without_negatives_costs_nothing_and_has_a_finite_gradient() -> None:
    scores = torch.rand(2, 2, requires_grad=True)
    none = torch.zeros(2, 2, dtype=torch.bool)
    loss = own_pair_nce(scores, none, 20.0).sum() + set_info_nce(scores, ~none, 20.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert scores.grad is not None and not scores.grad.any()


@pytest.mark.parametrize("form", ["soft", "supcon"])
def test_one_softmax_serves_info_nce_and_cross_sample_of_several_matrices(form: str) -> None:
    scores = torch.stack([cosines(), cosines().flip(0)])
    positives = torch.stack([likely_positives(each, 0.3) for each in scores])
    ignored = torch.zeros(5, 5, dtype=torch.bool)
    ignored[0, 2] = ignored[1, 1] = True
    shares = log_shares(scores, 10.0, ignored)
    nce = torch.stack([info_nce(each, 10.0, ignored=ignored) for each in scores]).mean()
    torch.testing.assert_close(-shares.diagonal(dim1=1, dim2=2).mean(), nce)
    one_by_one = [cross_sample(each, of, 10.0, form, ignored) for each, of in zip(scores, positives, strict=True)]
    torch.testing.assert_close(cross_sample_of(shares, positives, form, ignored), torch.stack(one_by_one).mean())
