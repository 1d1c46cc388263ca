"""Similarities against their published sums in plain float64 loops, at their edges and in half precision."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.similarity import (
    attention,
    chamfer,
    closed_form_sampled_distance,
    cosine,
    element_cosines,
    log_match_probability,
    match_logits,
    match_probability,
    max_similarity,
    order,
    pool_views,
    real_rows,
    smooth_chamfer,
    squared_distances,
    view_similarity,
)
from tests import forked


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def test_view_similarity_is_the_cosine_with_each_view() -> None:
    query, gallery = unit(3, 8), unit(4, 5, 8, seed=1)
    actual = view_similarity(query, gallery)
    for q in range(3):
        for g in range(4):
            for k in range(5):
                expected = sum(a * b for a, b in zip(query[q].tolist(), gallery[g, k].tolist(), strict=True))
                assert actual[q, g, k].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("score", ["max", "mean", "log_mean_exp", "learned"])
def test_pooled_views_equal_plain_sums(score: str) -> None:
    views = view_similarity(unit(3, 8), unit(4, 5, 8, seed=1))
    weights = torch.softmax(torch.arange(5.0, dtype=torch.float64), 0)
    actual = pool_views(views, score, 16.0, weights)
    for q in range(3):
        for g in range(4):
            s = views[q, g].tolist()
            expected = {
                "max": max(s),
                "mean": sum(s) / 5,
                "log_mean_exp": math.log(sum(math.exp(16 * x) for x in s) / 5) / 16,
                "learned": sum(w * x for w, x in zip(weights.tolist(), s, strict=True)),
            }[score]
            assert actual[q, g].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("score", ["max", "mean", "log_mean_exp"])
def test_one_view_is_its_own_score(score: str) -> None:
    query, gallery = unit(3, 8), unit(4, 8, seed=1)
    torch.testing.assert_close(pool_views(view_similarity(query, gallery[:, None]), score), cosine(query, gallery))


def test_log_mean_exp_is_finite_at_large_scales_in_half_precision() -> None:
    views = torch.ones(2, 2, 4, dtype=torch.bfloat16)
    assert torch.isfinite(pool_views(views, "log_mean_exp", 200.0)).all()


def test_an_unknown_score_shows_the_scores() -> None:
    with pytest.raises(ValueError, match="max, mean, log_mean_exp and learned"):
        pool_views(torch.zeros(1, 1, 1), "median")


def by_hand(name: str, x: list[list[float]], y: list[list[float]], alpha: float) -> float:
    """The similarity of two sets as the equations print it, one pair of vectors at a time."""
    c = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in y] for p in x]
    columns = [list(column) for column in zip(*c, strict=True)]
    if name == "max":
        return max(max(row) for row in c)
    if name == "match":
        return sum(1 / (1 + math.exp(-(3.0 * value - 0.5))) for row in c for value in row) / (len(x) * len(y))
    if name == "chamfer":
        return sum(max(row) for row in c) / len(x) / 2 + sum(max(column) for column in columns) / len(y) / 2
    left = sum(math.log(sum(math.exp(alpha * value) for value in row)) for row in c)
    right = sum(math.log(sum(math.exp(alpha * value) for value in column)) for column in columns)
    return left / (2 * alpha * len(x)) + right / (2 * alpha * len(y))


SETS: dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]] = {
    "max": lambda query, gallery, _: max_similarity(query, gallery),
    "match": lambda query, gallery, _: match_probability(query, gallery, 3.0, -0.5),
    "chamfer": lambda query, gallery, _: chamfer(query, gallery),
    "smooth_chamfer": smooth_chamfer,
}


@pytest.mark.parametrize("alpha", [1.0, 16.0, 200.0])
@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize(("k", "j"), [(1, 1), (4, 4), (2, 5)])
def test_similarities_of_sets_equal_the_published_sums(name: str, alpha: float, k: int, j: int) -> None:
    query, gallery = unit(3, k, 8), unit(4, j, 8, seed=1)
    expected = [[by_hand(name, q, g, alpha) for g in gallery.tolist()] for q in query.tolist()]
    actual = SETS[name](query, gallery, alpha)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["max", "chamfer", "smooth_chamfer"])
def test_sets_of_one_are_compared_by_their_cosine(name: str) -> None:
    query, gallery = unit(3, 1, 8), unit(4, 1, 8, seed=1)
    torch.testing.assert_close(SETS[name](query, gallery, 16.0), cosine(query[:, 0], gallery[:, 0]))


def test_smooth_chamfer_becomes_chamfer_as_alpha_grows() -> None:
    query, gallery = unit(3, 4, 8), unit(4, 4, 8, seed=1)
    gaps = [(smooth_chamfer(query, gallery, a) - chamfer(query, gallery)).abs().max().item() for a in (4, 40, 400)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < math.log(4) / 400


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("alpha", [1.0, 16.0, 200.0])
@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize("case", ["one element", "equal vectors", "apart"])
def test_gradients_of_sets_are_finite(case: str, name: str, alpha: float, dtype: torch.dtype) -> None:
    query, gallery = unit(2, 3, 8), unit(2, 3, 8, seed=1)
    if case == "one element":
        query, gallery = query[:, :1], gallery[:, :1]
    if case == "equal vectors":
        query = gallery = query[:1, :1].expand(2, 3, 8)
    query, gallery = (x.to(dtype).requires_grad_() for x in (query.clone(), gallery.clone()))
    with torch.autocast("cpu", torch.bfloat16):
        scores = SETS[name](query, gallery, alpha)
    assert scores.dtype == torch.float32
    scores.sum().backward()
    for x in (query, gallery):
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


def test_autocast_does_not_coarsen_the_scores_of_sets() -> None:
    query, gallery = unit(3, 4, 8).float(), unit(4, 4, 8, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        scores = smooth_chamfer(query, gallery, 16.0)
    torch.testing.assert_close(scores, smooth_chamfer(query, gallery, 16.0))


def gaussians(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("scale", "shift"), [(15.0, 15.0), (0.5, -1.0)])
@pytest.mark.parametrize(("k", "j"), [(1, 1), (7, 7), (2, 5)])
def test_match_probability_of_samples_equals_the_published_sums(k: int, j: int, scale: float, shift: float) -> None:
    query, gallery = gaussians(3, k, 8), gaussians(4, j, 8, seed=1)
    logits = match_logits(query, gallery, scale, shift)
    actual = log_match_probability(query, gallery, scale, shift)
    for q in range(3):
        for g in range(4):
            total = 0.0
            for a, x in enumerate(query[q].tolist()):
                for b, y in enumerate(gallery[g].tolist()):
                    logit = shift - scale * math.sqrt(math.dist(x, y) ** 2 + 1e-6)
                    assert logits[q, a, g, b].item() == pytest.approx(logit, abs=1e-9)
                    total += math.exp(logit) / (math.exp(logit) + math.exp(-logit))
            assert math.exp(actual[q, g]) == pytest.approx(total / (k * j), rel=1e-9)


def test_the_log_of_a_match_probability_ranks_what_is_far_too_unlikely_to_be_a_number() -> None:
    query, gallery = torch.zeros(1, 2, 3), torch.tensor([10.0, 20.0, 30.0])[:, None, None].expand(3, 2, 3)
    actual = log_match_probability(query, gallery, 15.0, 15.0)[0]
    assert (actual.exp() == 0).all()
    assert actual[0] > actual[1] > actual[2]


def test_closed_form_sampled_distance_equals_the_published_sums() -> None:
    (query, gallery), (s_query, s_gallery) = ([gaussians(n, 5, seed=n + m) for n in (3, 4)] for m in (0, 10))
    actual = closed_form_sampled_distance(query, s_query.exp().sum(1), gallery, s_gallery.exp().sum(1))
    for q in range(3):
        for g in range(4):
            apart = sum((a - b) ** 2 for a, b in zip(query[q].tolist(), gallery[g].tolist(), strict=True))
            spread = sum(math.exp(a) + math.exp(b) for a, b in zip(s_query[q], s_gallery[g], strict=True))
            assert actual[q, g].item() == pytest.approx(apart + spread, abs=1e-9)


def test_closed_form_sampled_distance_is_what_samples_are_apart_on_average() -> None:
    mean, log_variance = gaussians(2, 4), gaussians(2, 4, seed=1)
    samples = mean[:, None] + gaussians(2, 40_000, 4, seed=2) * (log_variance / 2).exp()[:, None]
    actual = closed_form_sampled_distance(
        mean[:1], log_variance[:1].exp().sum(1), mean[1:], log_variance[1:].exp().sum(1)
    )
    drawn = (samples[0] - samples[1]).square().sum(1).mean()
    assert actual.item() == pytest.approx(drawn.item(), rel=0.02)


@pytest.mark.parametrize("block", [1, 100, 2**25])
def test_order_scores_equal_the_published_sums_in_any_chunks(block: int) -> None:
    query, gallery = gaussians(5, 8).abs(), gaussians(4, 8, seed=1).abs()
    actual = order(query, gallery, block)
    for q in range(5):
        for g in range(4):
            squares = sum(max(0.0, a - b) ** 2 for a, b in zip(query[q].tolist(), gallery[g].tolist(), strict=True))
            assert actual[q, g].item() == pytest.approx(-math.sqrt(squares), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", ["one", "equal", "apart"])
def test_gradients_of_distances_are_finite(case: str, dtype: torch.dtype) -> None:
    query, gallery = unit(2, 3, 8), unit(2, 3, 8, seed=1)
    if case == "one":
        query, gallery = query[:1, :1], gallery[:1, :1]
    if case == "equal":
        query = gallery = query[:1, :1].expand(2, 3, 8)
    query, gallery = (x.to(dtype).requires_grad_() for x in (query.clone(), gallery.clone()))
    with torch.autocast("cpu", torch.bfloat16):
        scores_of = [
            log_match_probability(query, gallery, 15.0, 15.0),
            order(query[:, 0].abs(), gallery[:, 0].abs()),
            closed_form_sampled_distance(query[:, 0], query[:, -1, 0].exp(), gallery[:, 0], gallery[:, -1, 0].exp()),
        ]
    assert scores_of[0].dtype == scores_of[2].dtype == torch.float32
    torch.stack([scores.sum() for scores in scores_of]).sum().backward()
    for x in (query, gallery):
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


def scores_of_a_process(output: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = normalize(torch.randn(600, 4, 256, generator=draw), dim=2)
    scores = cosine(rows.flatten(0, 1), rows.flatten(0, 1)), smooth_chamfer(rows[:60], rows[60:120], 16.0)
    hashes = [hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in scores]
    output.write_text(str(hashes), encoding="utf-8")


def test_two_processes_make_the_same_scores_bit_for_bit(tmp_path: Path) -> None:
    """Large products too: nothing in a process, such as a timing, decides how they are made."""
    outputs = [tmp_path / f"{number}.txt" for number in range(2)]
    processes = [forked.start(scores_of_a_process, output) for output in outputs]
    for process in processes:
        process.join(120)
    hashes = [output.read_text(encoding="utf-8") for output in outputs]
    assert hashes[0] == hashes[1] != ""


def test_real_rows_are_those_with_a_number_and_an_empty_item_keeps_its_first() -> None:
    local = torch.tensor([[[0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]], [[0.0, 0.0]] * 3])
    assert real_rows(local).tolist() == [[True, False, True], [True, False, False]]


@pytest.mark.parametrize("scale", [4.0, 9.0])
def test_attention_equals_the_published_weights_and_leaves_padding_out(scale: float) -> None:
    query, context = unit(2, 3, 5), unit(3, 4, 5, seed=1)
    query[0, 2], context[1, 1] = 0, 0  # a member of either side is missing
    weights, cosines = attention(query, context, scale)
    assert weights.shape == cosines.shape == (3, 4, 2, 3)
    for g in range(3):
        for q in range(2):
            real = [r for r in range(4) if (g, r) != (1, 1)]
            c = [
                [sum(a * b for a, b in zip(v, x, strict=True)) for x in query[q].tolist()] for v in context[g].tolist()
            ]
            assert cosines[g, :, q].tolist() == [pytest.approx(row, abs=1e-12) for row in c]
            steep = [[x if x > 0 else 0.1 * x for x in row] for row in c]
            norms = [math.sqrt(sum(x * x for x in row)) or 1.0 for row in steep]
            for t in range(3):
                powers = [math.exp(scale * steep[r][t] / norms[r]) if r in real else 0.0 for r in range(4)]
                expected = [power / sum(powers) for power in powers]
                assert weights[g, :, q, t].tolist() == pytest.approx(expected, abs=1e-9)


def test_distances_and_cosines_of_elements_equal_their_sums_and_stay_wide() -> None:
    query, gallery = gaussians(2, 3, 4), gaussians(3, 2, 4, seed=1)
    distances, cosines = squared_distances(query, gallery), element_cosines(query, gallery)
    for q, k, g, j in itertools.product(range(2), range(3), range(3), range(2)):
        x, y = query[q, k].tolist(), gallery[g, j].tolist()
        assert distances[q, k, g, j].item() == pytest.approx(math.dist(x, y) ** 2, abs=1e-12)
        assert cosines[q, k, g, j].item() == pytest.approx(sum(a * b for a, b in zip(x, y, strict=True)), abs=1e-12)
    same = gaussians(1, 1, 300).float()
    assert (squared_distances(same, same) >= 0).all()  # rounding below zero is cut
    assert squared_distances(query.bfloat16(), gallery.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("scale", [1.0, 16.0, 64.0, 500.0])
def test_log_sums_keep_the_order_of_float64_at_large_scales(scale: float) -> None:
    """Order may differ only between scores that float32 cosines cannot tell apart."""
    generator = torch.Generator().manual_seed(0)
    query = normalize(torch.randn(12, 3, 16, generator=generator), dim=-1)
    gallery = normalize(query[:, :1] + 0.3 * torch.randn(12, 4, 16, generator=generator), dim=-1)
    for score in (
        lambda q, g: smooth_chamfer(q, g, scale),
        lambda q, g: pool_views(view_similarity(q[:, 0], g), "log_mean_exp", scale),
    ):
        exact, narrow = score(query.double(), gallery.double()), score(query, gallery)
        torch.testing.assert_close(narrow.double(), exact, rtol=0, atol=1e-6)
        above = exact[:, :, None] - exact[:, None] > 2e-6
        assert (narrow[:, :, None] > narrow[:, None])[above].all()


def test_match_probabilities_that_are_nearly_1_tie_in_float32() -> None:
    """A limit that docs/evaluation.md names: a scale times a cosine above about 16 leaves a probability no digits."""
    cosines = torch.tensor([0.80, 0.85, 0.90])
    query, gallery = torch.tensor([[[1.0, 0.0]]]), torch.stack([cosines, (1 - cosines**2).sqrt()], -1)[:, None]
    assert match_probability(query, gallery, 10.0, 0.0)[0].diff().gt(0).all()
    assert (match_probability(query, gallery, 30.0, 0.0)[0] == 1).all()
    assert match_probability(query.double(), gallery.double(), 30.0, 0.0)[0].diff().gt(0).all()
