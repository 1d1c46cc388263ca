from __future__ import annotations

import math

import pytest
import torch

from raytrain.losses import info_nce, triplet_loss, variance_weighted_triplet, view_weights
from raytrain.losses.triplet import batch_negatives
from raytrain.losses.variance_weighting import negative_confidence, negative_entropy, negative_variance

WEIGHTS = ["inv", "softmax_neg", "var", "softmax_pos", "none"]
FURTHER = ["entropy_high", "entropy_low", "confidence_high", "confidence_low"]


def scores(views: int, batch: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.rand(views, batch, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def variance_by_hand(row: list[float], own: int, unbiased: bool) -> float:
    others = [x for j, x in enumerate(row) if j != own]
    mean = sum(others) / len(others)
    return sum((x - mean) ** 2 for x in others) / (len(others) - unbiased)


def weights_by_hand(v: list[float], weight_fn: str, tau: float) -> list[float]:
    raw = {
        "inv": [1 / (x + 1e-8) for x in v],
        "var": [x + 1e-8 for x in v],
        "softmax_neg": [math.exp(-x / tau) for x in v],
        "softmax_pos": [math.exp(x / tau) for x in v],
        "none": [1.0 for _ in v],
    }[weight_fn]
    return [x / sum(raw) for x in raw]


def loss_by_hand(
    s: torch.Tensor, weight_fn: str, margin: float, tau: float, unbiased: bool, kendall_over_views: str = "mean"
) -> float:
    """sum_i sum_k w_ik [m - S_k(i, i) + max_j S_k(i, j)]+ in both directions; kendall as a mean or a sum over k."""
    views, batch, _ = s.shape
    total = 0.0
    for direction in (s, s.transpose(1, 2)):
        for i in range(batch):
            rows = [direction[k, i].tolist() for k in range(views)]
            variances = [variance_by_hand(row, i, unbiased) for row in rows]
            hinge = [max(0.0, margin - row[i] + max(x for j, x in enumerate(row) if j != i)) for row in rows]
            if weight_fn == "kendall":
                v = [x + 1e-8 for x in variances]
                total += sum(h / (2 * x) + 0.5 * math.log(x) for h, x in zip(hinge, v, strict=True)) / (
                    views if kendall_over_views == "mean" else 1
                )
            else:
                weight = weights_by_hand(variances, weight_fn, tau)
                total += sum(w * h for w, h in zip(weight, hinge, strict=True))
    return total


@pytest.mark.parametrize("variance", ["population", "unbiased"])
@pytest.mark.parametrize("weight_fn", [*WEIGHTS, "kendall"])
def test_the_loss_equals_the_sums_over_pairs_and_views(weight_fn: str, variance: str) -> None:
    s = scores(3)
    actual = variance_weighted_triplet(
        s, batch_negatives(torch.arange(5), "masked"), 0.2, True, weight_fn, 0.05, variance=variance
    )
    # the variance is taken in single precision
    assert actual.item() == pytest.approx(loss_by_hand(s, weight_fn, 0.2, 0.05, variance == "unbiased"), rel=1e-5)


def statistic_by_hand(row: list[float], members: list[int], weight_fn: str, tau: float) -> float:
    values = sorted((row[j] for j in members), reverse=True)
    if weight_fn.startswith("confidence"):
        return values[0] - values[1] if len(values) > 1 else 0.0
    total = sum(math.exp(x / tau) for x in values)
    return -sum(math.exp(x / tau) / total * math.log(math.exp(x / tau) / total) for x in values)


@pytest.mark.parametrize("over", ["others", "negatives"])
@pytest.mark.parametrize("weight_fn", FURTHER)
def test_entropy_and_confidence_weigh_as_their_sums_say(weight_fn: str, over: str) -> None:
    s, image_id = scores(3), [0, 0, 1, 2, 3]
    negatives = batch_negatives(torch.tensor(image_id), "masked")
    expected = 0.0
    for direction in (s, s.transpose(1, 2)):
        for i in range(5):
            apart = [j for j in range(5) if image_id[j] != image_id[i]]
            members = apart if over == "negatives" else [j for j in range(5) if j != i]
            rows = [direction[k, i].tolist() for k in range(3)]
            values = [statistic_by_hand(row, members, weight_fn, 0.3) + 1e-8 for row in rows]
            raw = values if weight_fn.endswith("high") else [1 / value for value in values]
            hinge = [max(0.0, 0.2 - row[i] + max(row[j] for j in apart)) for row in rows]
            expected += sum(w * h for w, h in zip(raw, hinge, strict=True)) / sum(raw)
    actual = variance_weighted_triplet(s, negatives, 0.2, True, weight_fn, variance_over=over, entropy_tau=0.3)
    assert actual.item() == pytest.approx(expected, rel=1e-4)


def test_entropy_and_confidence_of_too_few_members_are_zero() -> None:
    s, nobody = scores(2), torch.zeros(5, 5, dtype=torch.bool)
    assert (negative_entropy(s, members=nobody) == 0).all() and (negative_confidence(s, nobody) == 0).all()
    single_member = torch.eye(5, dtype=torch.bool).roll(1, 0)
    assert (negative_entropy(s, members=single_member) == 0).all() and (
        negative_confidence(s, single_member) == 0
    ).all()
    assert (negative_confidence(scores(2, batch=1)) == 0).all()


@pytest.mark.parametrize("over", ["mean", "sum"])
def test_kendall_is_a_mean_over_views_or_the_published_sum(over: str) -> None:
    s, negatives = scores(3), batch_negatives(torch.arange(5), "masked")
    actual = variance_weighted_triplet(s, negatives, 0.2, True, "kendall", kendall_over_views=over)
    assert actual.item() == pytest.approx(loss_by_hand(s, "kendall", 0.2, 0.05, False, over), rel=1e-5)


@pytest.mark.parametrize("variance", ["population", "unbiased"])
def test_the_variance_over_negatives_leaves_other_captions_of_the_image_out(variance: str) -> None:
    """Pairs 0, 1 and 2 are captions of one image: the variance of each is over pairs 3 and 4 alone."""
    s, image_id = scores(2), torch.tensor([0, 0, 0, 1, 2])
    spread = negative_variance(s, variance, batch_negatives(image_id, "masked"))
    for k in range(2):
        for i in range(5):
            members = [s[k, i, j].item() for j in range(5) if image_id[j] != image_id[i]]
            mean = sum(members) / len(members)
            expected = sum((x - mean) ** 2 for x in members) / (len(members) - (variance == "unbiased"))
            assert spread[k, i].item() == pytest.approx(expected, rel=1e-5)
    changed = s.clone()
    changed[:, :3, :3] = 50.0
    torch.testing.assert_close(negative_variance(changed, variance, batch_negatives(image_id, "masked")), spread)
    nobody = negative_variance(s, variance, torch.zeros(5, 5, dtype=torch.bool))
    assert (nobody == 0).all()


def test_the_loss_takes_its_variance_over_all_others_unless_told_otherwise() -> None:
    s, negatives = scores(3), batch_negatives(torch.tensor([0, 0, 1, 2, 3]), "masked")
    default, others, over_negatives = (
        variance_weighted_triplet(s, negatives, 0.2, True, "inv", **choice).item()
        for choice in ({}, {"variance_over": "others"}, {"variance_over": "negatives"})
    )
    assert default == others != over_negatives


def test_the_variance_leaves_the_pair_itself_out() -> None:
    s = scores(2)
    changed = s.clone()
    changed[:, torch.arange(5), torch.arange(5)] = 100.0
    torch.testing.assert_close(negative_variance(s), negative_variance(changed))


@pytest.mark.parametrize("weight_fn", [*WEIGHTS, *FURTHER])
def test_one_view_is_the_plain_triplet(weight_fn: str) -> None:
    s, negatives = scores(1), batch_negatives(torch.arange(5), "masked")
    for hardest in (True, False):
        actual = variance_weighted_triplet(s, negatives, 0.2, hardest, weight_fn)
        torch.testing.assert_close(actual, triplet_loss(s[0], negatives, 0.2, hardest), check_dtype=False)


@pytest.mark.parametrize("weight_fn", [*WEIGHTS, *FURTHER])
def test_weights_sum_to_one_even_when_the_variance_is_zero(weight_fn: str) -> None:
    weights = view_weights(torch.zeros(4, 3), weight_fn)
    torch.testing.assert_close(weights.sum(0), torch.ones(3))


def test_inv_prefers_the_quiet_view_and_var_the_spread_one() -> None:
    variance = torch.tensor([[0.1], [0.4]])
    assert view_weights(variance, "inv")[0, 0] > view_weights(variance, "inv")[1, 0]
    assert view_weights(variance, "var")[0, 0] < view_weights(variance, "var")[1, 0]


@pytest.mark.parametrize("weight_fn", [*WEIGHTS, *FURTHER, "kendall"])
@pytest.mark.parametrize("weight_gradient", [True, False])
@pytest.mark.parametrize("views", [1, 4])
def test_gradients_are_finite_when_all_scores_are_equal(weight_fn: str, weight_gradient: bool, views: int) -> None:
    s = torch.zeros(views, 4, 4, requires_grad=True)
    negatives = batch_negatives(torch.arange(4), "masked")
    variance_weighted_triplet(s, negatives, 0.2, True, weight_fn, weight_gradient=weight_gradient).backward()
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()


def test_the_weights_carry_a_gradient_only_where_asked() -> None:
    negatives = batch_negatives(torch.arange(5), "masked")
    grads = []
    for weight_gradient in (False, True):
        s = scores(3).requires_grad_()
        variance_weighted_triplet(s, negatives, 0.2, True, "inv", weight_gradient=weight_gradient).backward()
        assert s.grad is not None
        grads.append(s.grad)
    assert not torch.allclose(grads[0], grads[1])


@pytest.mark.parametrize("weight_fn", WEIGHTS)
def test_info_nce_takes_the_place_of_the_hinges_under_the_same_weights(weight_fn: str) -> None:
    s, total, scale = scores(3), 0.0, 20.0
    for direction in (s, s.transpose(1, 2)):
        for i in range(5):
            rows = [direction[k, i].tolist() for k in range(3)]
            weight = weights_by_hand([variance_by_hand(row, i, False) for row in rows], weight_fn, 0.05)
            terms = [math.log(sum(math.exp(scale * (x - row[i])) for x in row)) for row in rows]
            total += sum(w * term for w, term in zip(weight, terms, strict=True))
    negatives = batch_negatives(torch.arange(5), "masked")
    actual = variance_weighted_triplet(s, negatives, weight_fn=weight_fn, tau=0.05, info_nce_scale=scale)
    assert actual.item() == pytest.approx(total, rel=1e-5)
    alone = variance_weighted_triplet(s[:1], negatives, weight_fn=weight_fn, tau=0.05, info_nce_scale=scale)
    torch.testing.assert_close(alone, 10 * info_nce(s[0], scale, symmetric=True))
