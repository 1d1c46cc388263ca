from __future__ import annotations

import math
from statistics import NormalDist, fmean, stdev
from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain.config import EncoderConfig, NAAFConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.naaf import NAAF, boundary
from tests.encoders.local_features import Vectors, attended, dot, locals_of, members, unit
from tests.methods.cross_attention.test_scan import batch

TEXTS, IMAGES = [3, 1, 4, 2], [2, 3, 1]
INPUTS = Inputs(region_features=6, token_features=5, words=20)


def build(learned: float = 0.1, safe: float = 0.35, **changes: Any) -> NAAF:
    """With thresholds that some words of random captions pass and others do not."""
    torch.manual_seed(0)
    method = NAAF(EncoderConfig(dim=5), NAAFConfig(**changes), INPUTS).double()
    method.threshold.learned.fill_(learned)
    method.threshold.safe.fill_(safe)
    return method


def oracle(caption: Vectors, image: Vectors, threshold: float, scale: float, propagation: float) -> float:
    """The score of one pair (NAAF, equations 6 to 13; released code)."""
    gaps = [max(dot(word, region) for region in image) - threshold for word in caption]
    seen = attended(caption, image, scale)
    total = 0.0
    for t, word in enumerate(caption):
        doubt = gaps[t]
        if propagation:
            powers = [math.exp(propagation * dot(word, other)) for other in caption]
            doubt = sum(p * gap for p, gap in zip(powers, gaps, strict=True)) / sum(powers)
        negative = gaps[t] if doubt < 0 else 0.0
        above = [region for region in image if dot(word, region) > threshold]
        powers = [math.exp(scale * (dot(word, region) - threshold)) for region in above]
        focus = [sum(p * region[d] for p, region in zip(powers, above, strict=True)) for d in range(len(word))]
        attention = dot(word, unit(focus)) if above else 0.0
        relevance = dot(word, seen[t])  # the weighted sum of cosines is the product with the weighted sum of regions
        total += negative + attention + relevance
    return total / len(caption)


@pytest.mark.parametrize(
    ("change", "training", "threshold", "propagation"),
    [
        ({}, True, 0.1, 0.0),  # words by themselves
        ({}, False, 0.35, 5.0),  # the safe threshold, and words that ask one another
        ({"test_threshold": "learned", "propagation_scale": 0.0, "attention_scale": 6.0}, False, 0.1, 0.0),
    ],
)
def test_scores_are_those_of_the_equations(
    change: dict[str, Any], training: bool, threshold: float, propagation: float
) -> None:
    method = build(**change, sample_words=10**6).train(training)
    texts, images = locals_of(TEXTS), locals_of([*IMAGES, 3], seed=1)
    actual = method.similarity(texts, images)
    expected = [
        [oracle(c, i, threshold, method.config.attention_scale, propagation) for i in members(images, [*IMAGES, 3])]
        for c in members(texts, TEXTS)
    ]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("matched", "mismatched", "penalty"),
    [
        ((0.6, 0.1), (0.3, 0.2), 2.0),
        ((0.6, 0.2), (0.3, 0.1), 2.0),
        ((0.6, 0.15), (0.3, 0.15), 1.0),  # the middle of the two means
        ((0.5, 0.1), (0.4, 0.1000001), 0.5),
        ((0.3, 0.3), (0.4, 0.1), 1.5),  # matched words that score lower, but vary more
    ],
)
def test_the_boundary_has_the_least_cost_of_wrong_words(
    matched: tuple[float, float], mismatched: tuple[float, float], penalty: float
) -> None:
    solved = boundary(torch.tensor(matched).double(), torch.tensor(mismatched).double(), penalty)
    right, wrong = NormalDist(*matched), NormalDist(*mismatched)
    t = solved.item()
    assert right.pdf(t) == pytest.approx(penalty * wrong.pdf(t), rel=1e-5)

    def cost(score: float) -> float:
        return right.cdf(score) + penalty * (1 - wrong.cdf(score))

    assert cost(t) < min(cost(t - 0.01), cost(t + 0.01))


@pytest.mark.parametrize(
    ("matched", "mismatched"),
    [((0.5, 0.2), (0.5, 0.2)), ((0.5, 0.0), (0.2, 0.1)), ((0.5, 0.1), (0.2, 0.0)), ((0.5, 0.0), (0.5, 0.0))],
)
def test_words_that_cannot_be_told_apart_have_no_boundary(
    matched: tuple[float, float], mismatched: tuple[float, float]
) -> None:
    assert boundary(torch.tensor(matched), torch.tensor(mismatched), 2.0).isnan()


def sampled_words(scores: list[list[float]], texts: list[Vectors], images: list[Vectors]) -> list[list[float]]:
    """Best cosines of the words of captions whose own image scores best: with it, and with the worst image."""
    matched, mismatched = [], []
    for i, row in enumerate(scores):
        if row[i] == max(row):
            matched += [max(dot(word, region) for region in images[i]) for word in texts[i]]
            worst = images[row.index(min(row))]
            mismatched += [max(dot(word, region) for region in worst) for word in texts[i]]
    return [matched, mismatched]


def paired(seed: int) -> tuple[Tensor, Tensor]:
    """Captions whose words are near the regions of their own images."""
    images = locals_of([3] * 5, seed=seed)
    noise = 0.4 * torch.randn(5, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(images[:, [0, 1, 2, 0]] + noise, dim=-1), images


def test_thresholds_follow_the_words_of_right_captions_once_there_are_enough_of_them() -> None:
    method = build(learned=0.0, safe=0.0, sample_words=25, threshold_momentum=0.3, mismatch_penalty=1.0)
    learned = safe = 0.0
    words: list[list[float]] = [[], []]
    estimates = 0
    for seed in range(4):
        texts, images = paired(seed)
        scores = method.similarity(texts, images)
        for kept, new in zip(words, sampled_words(scores.tolist(), texts.tolist(), images.tolist()), strict=True):
            kept += new
        if len(words[0]) > 25:
            estimates += 1
            fits = [(fmean(part), stdev(part)) for part in words]
            solved = boundary(*torch.tensor(fits, dtype=torch.float64), 1.0)
            assert 0 < solved <= 1
            learned = 0.3 * learned + 0.7 * solved.item()
            safe = 0.3 * safe + 0.7 * max(0.0, fits[0][0] - 3 * fits[0][1])
            torch.testing.assert_close(method.threshold.fit, torch.tensor(fits, dtype=torch.float64))
            words = [[], []]
        assert method.threshold.sampled[0, 0] == len(words[0])
        assert method.threshold.learned.item() == pytest.approx(learned, abs=1e-12)
        assert method.threshold.safe.item() == pytest.approx(safe, abs=1e-12)
    assert 0 < estimates < 4  # some steps had too few words, and were added to the next


def test_blocks_that_are_computed_twice_sample_once_and_evaluation_samples_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, images = paired(0)
    states = []
    for numbers in (2**18, 1):
        monkeypatch.setattr("raytrain.methods.cross_attention.base.NUMBERS_PER_MIB", numbers)
        method = build(memory_mib=1, sample_words=10**6)
        method.similarity(texts, images)
        states.append(method.threshold.sampled.clone())
        method.eval().similarity(texts, images)
        torch.testing.assert_close(method.threshold.sampled, states[-1], rtol=0, atol=0)
    assert states[0][0, 0] > 0
    torch.testing.assert_close(states[1], states[0])


def test_blocks_that_are_computed_twice_keep_the_threshold_of_their_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, images = paired(0)
    gradients = []
    for numbers in (2**18, 1):
        monkeypatch.setattr("raytrain.methods.cross_attention.base.NUMBERS_PER_MIB", numbers)
        method = build(memory_mib=1, sample_words=4, learned=0.1)  # each step ends with another threshold
        own = texts.clone().requires_grad_()
        method.similarity(own, images).sum().backward()
        assert own.grad is not None and abs(float(method.threshold.learned) - 0.1) > 0.05
        gradients.append(own.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_threshold_that_is_no_cosine_becomes_zero() -> None:
    method = build(learned=0.5, safe=0.5, sample_words=4, threshold_momentum=0.0)
    words = torch.tensor([3, 3])
    # matched words near -0.5, mismatched ones near -0.9: the boundary is below zero
    sums = torch.tensor([[-1.5, -2.7], [-2.7, -1.5]])
    squares = sums.square() / 3 + 0.02
    method.threshold.sample(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), words, sums, squares)
    assert method.threshold.fit[:, 0].tolist() == pytest.approx([-0.5, -0.9])
    assert method.threshold.learned == 0 and method.threshold.safe == 0


def test_a_step_reports_the_loss_and_the_thresholds_that_it_leaves() -> None:
    method = NAAF(EncoderConfig(dim=8), NAAFConfig(sample_words=2, threshold_momentum=0.5), INPUTS)
    parts = method(batch())
    assert parts.keys() == {"loss", "triplet", "threshold", "safe_threshold"}
    assert parts["threshold"] == method.threshold.learned and parts["safe_threshold"] == method.threshold.safe
    kept = parts["threshold"].item()
    method.threshold.learned.add_(1.0)  # a later step changes nothing that was reported
    assert parts["threshold"] == kept


def test_a_caption_is_right_where_its_image_is_in_the_batch_twice() -> None:
    method = build(sample_words=10**6)
    texts, images = locals_of([2, 2]), locals_of([3], seed=1).expand(2, -1, -1)
    method.similarity(texts, images)
    assert method.threshold.sampled[0].tolist() == [4, 4]
