"""Many temperatures in one pass: normalisers and ranks against plain float64 loops, by PyTorch and compiled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.evaluation.protocols.protocols import Protocol, evaluate, folds
from raytrain.evaluation.ranking.counts import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.reranking.fast_reranking import Mode, Temperatures
from raytrain.evaluation.temperature_search import log_means as log_means_module
from raytrain.evaluation.temperature_search.log_means import Grid, has_numba, log_means
from raytrain.evaluation.temperature_search.many_temperatures import additive_ranks, image_ranks, recall_sum, text_ranks
from raytrain.evaluation.temperature_search.search import GRID, Setting, grid_recalls, search_temperatures

PATHS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(not has_numba(), reason="compiled loops need numba (extra `fast`)")),
]
SMALL = Grid(3.0, steps=4, octaves=3)


def made_up(texts: int, images: int, seed: int = 0, ties: bool = False) -> tuple[Tensor, Tensor]:
    """(M, N) float32 scores and owners in no order; with ties few distinct scores, and two images alike."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(texts, images, generator=generator) * 2 - 1
    owner = torch.randint(0, images, (texts,), generator=generator)
    scores[torch.arange(texts), owner] += 0.3
    if ties:
        scores = (scores * 4).round() / 4
        scores[:, -1] = scores[:, 0]
        scores[-1] = scores[0]
    return scores, owner


def log_mean_by_hand(values: list[float], scale: float) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(scale * (value - top)) for value in values) / len(values)) / scale


def place_by_hand(values: list[np.float32], positives: list[int]) -> int:
    """Strictly better ones, and equal ones with a higher index than the best positive's highest."""
    if not positives:
        return -1
    best = max(values[i] for i in positives)
    place = max(i for i in positives if values[i] == best)
    return sum(value > best or (value == best and i > place) for i, value in enumerate(values))


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("spread", [1.0, 40.0, 1e-3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (6, 131), (9, 5)])
def test_log_means_are_the_sums_written_out(shape: tuple[int, int], spread: float, compiled: bool) -> None:
    scores = made_up(*shape)[0] * spread
    rows = scores.tolist()
    columns = scores.T.tolist()
    for grid in (SMALL, GRID, Grid(170.0)):
        over_rows, over_columns = log_means(scores, grid, compiled=compiled)
        for k, scale in enumerate(grid.scales):
            expected = torch.tensor([log_mean_by_hand(column, scale) for column in columns], dtype=torch.float64)
            torch.testing.assert_close(over_rows[k], expected, rtol=0, atol=2e-14 * max(1, spread))
            expected = torch.tensor([log_mean_by_hand(row, scale) for row in rows], dtype=torch.float64)
            torch.testing.assert_close(over_columns[k], expected, rtol=0, atol=2e-14 * max(1, spread))


@pytest.mark.parametrize("compiled", PATHS)
def test_scores_far_apart_neither_overflow_nor_vanish(compiled: bool) -> None:
    # one shift for all would make exp(480 * 20) of this
    scores = torch.tensor([[20.0, 19.99, -20.0], [-20.0, -19.5, -20.0], [0.0, 1.0, -19.99]])
    over_rows, over_columns = log_means(scores, GRID, compiled=compiled)
    for k, scale in enumerate(GRID.scales):
        for found, lists in ((over_rows, scores.T.tolist()), (over_columns, scores.tolist())):
            expected = torch.tensor([log_mean_by_hand(values, scale) for values in lists], dtype=torch.float64)
            torch.testing.assert_close(found[k], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (23, 9), (40, 133)])
def test_ranks_equal_loops_at_every_scale(
    shape: tuple[int, int], ties: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images without a text among them, and blocks that do not divide the rows."""
    monkeypatch.setattr(log_means_module, "BLOCK_ELEMENTS", 5 * shape[1])
    scores, owner = made_up(*shape, ties=ties)
    texts, images = shape
    over_texts, over_images = (table.float() for table in log_means(scores, SMALL, compiled=compiled))
    found_texts = text_ranks(scores, owner, over_texts, compiled)
    found_images = image_ranks(scores, owner, over_images, compiled)
    array = scores.numpy()
    for k, scale in enumerate(SMALL.scales):
        by_image = [np.float32(log_mean_by_hand(scores[:, n].tolist(), scale)) for n in range(images)]
        for m in range(texts):
            expected = place_by_hand([array[m, n] - by_image[n] for n in range(images)], [int(owner[m])])
            assert found_texts[k, m] == expected
        by_text = [np.float32(log_mean_by_hand(scores[m].tolist(), scale)) for m in range(texts)]
        for n in range(images):
            own = [m for m in range(texts) if owner[m] == n]
            assert found_images[k, n] == place_by_hand([array[m, n] - by_text[m] for m in range(texts)], own)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("ties", [False, True])
def test_a_collapsed_model_scores_chance_and_equal_offsets_change_no_tie(ties: bool, compiled: bool) -> None:
    owner = torch.arange(12) // 2
    scores = torch.full((12, 6), 0.25)
    if ties:
        scores[:, 3] = 0.5
    offsets = torch.zeros(4, 6), torch.zeros(4, 12)
    expected = text_to_image_counts(scores, owner).ranks(), image_to_text_counts(scores, owner).ranks()
    assert (text_ranks(scores, owner, offsets[0], compiled) == expected[0]).all()
    assert (image_ranks(scores, owner, offsets[1], compiled) == expected[1]).all()


@pytest.mark.skipif(not has_numba(), reason="compiled loops need numba (extra `fast`)")
def test_compiled_loops_on_several_threads_give_the_ranks_of_the_pytorch_path() -> None:
    scores, owner = made_up(700, 260)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        tables = log_means(scores, GRID, compiled=True)
        plain = log_means(scores, GRID, compiled=False)
        for one, other in zip(tables, plain, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-14)
        for ranker, table in zip((text_ranks, image_ranks), plain, strict=True):
            assert (ranker(scores, owner, table.float(), True) == ranker(scores, owner, table.float(), False)).all()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("spread", [1.0, 60.0])
def test_additive_ranks_equal_those_of_the_scores_written_out(spread: float) -> None:
    scores, owner = made_up(21, 8)
    scores = scores * spread
    tables = log_means(scores, SMALL)
    images, texts = additive_ranks(scores, owner, SMALL, tables, beta=0.7)
    for k, scale in enumerate(SMALL.scales):
        for m in range(21):
            softmax = [
                math.exp(scale * (float(scores[m, n]) - log_mean_by_hand(scores[:, n].tolist(), scale))) / 21
                for n in range(8)
            ]
            values = [np.float32(scores[m, n]) + np.float32(0.7 * softmax[n]) for n in range(8)]
            assert texts[k, m] == place_by_hand(values, [int(owner[m])])
        for n in range(8):
            softmax = [
                math.exp(scale * (float(scores[m, n]) - log_mean_by_hand(scores[m].tolist(), scale))) / 8
                for m in range(21)
            ]
            values = [np.float32(scores[m, n]) + np.float32(0.7 * softmax[m]) for m in range(21)]
            assert images[k, n] == place_by_hand(values, [m for m in range(21) if owner[m] == n])


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("mode", ["cross", "product", "additive"])
def test_the_grid_says_what_the_evaluation_says_of_each_setting(mode: Mode, compiled: bool) -> None:
    scores, owner = made_up(60, 20, seed=3)
    (fold,) = folds(scores, owner, 1)
    found = grid_recalls(fold, None, GRID, [mode], {"i2t": (0,), "t2i": (0,)}, compiled)
    assert len(found["i2t"]) == len(found["t2i"]) == (16 if mode == "additive" else 64)
    for setting in list(found["i2t"])[::5]:
        result = evaluate(scores, owner, "split/val", Temperatures(mode, setting.scale, setting.scale))
        for direction in ("i2t", "t2i"):
            expected = sum(result.metrics[f"{direction}/recall_at_{k}"] for k in (1, 5, 10))
            assert found[direction][setting] == pytest.approx(expected, abs=1e-9)  # type: ignore[index]


def test_recall_sums_leave_out_queries_without_a_positive() -> None:
    ranks = torch.tensor([[0, -1, 4, 9, 10], [1, -1, 0, 0, 0]])
    assert recall_sum(ranks, (1, 5, 10)).tolist() == [25 + 50 + 75, 75 + 100 + 100]
    with pytest.raises(ValueError, match="none of 2 queries"):
        recall_sum(torch.tensor([[-1, -1]]), (1,))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    scores, _ = made_up(5, 4)
    scores[2, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        log_means(scores, SMALL)


def test_a_grid_without_meaning_is_refused() -> None:
    for wrong in ({"first": 0.0}, {"steps": 3}, {"octaves": 0}, {"first": math.inf}):
        with pytest.raises(ValueError, match="power of two"):
            Grid(**wrong)  # type: ignore[arg-type]
    assert GRID.scales[0] == 2
    assert GRID.scales[-1] == 480
    assert 20.0 in GRID.scales


def test_folds_are_searched_each_by_itself() -> None:
    scores, owner = made_up(60, 20, seed=5)
    protocol = Protocol("folds", folds=2)
    found = search_temperatures(scores, owner.sort().values, 0, 0, protocol)
    both = Temperatures("cross", 20.0, 20.0)
    result = evaluate(scores, owner.sort().values, protocol, both)
    for direction in ("i2t", "t2i"):
        expected = sum(result.metrics[f"{direction}/recall_at_{k}"] for k in (1, 5, 10))
        assert found.tried[direction][Setting("cross", 20.0)] == pytest.approx(expected)  # type: ignore[index]
    assert found.after.metrics["rsum"] == pytest.approx(sum(max(one.values()) for one in found.tried.values()))
