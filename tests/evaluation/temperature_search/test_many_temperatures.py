"""Ranks at many temperatures in one pass against plain float64 loops, by PyTorch and compiled."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.evaluation.ranking.counts import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.temperature_search import log_means as log_means_module
from raytrain.evaluation.temperature_search.log_means import Grid, log_means
from raytrain.evaluation.temperature_search.many_temperatures import (
    Best,
    additive_ranks,
    image_ranks,
    recall_sum,
    text_ranks,
)
from raytrain.evaluation.temperature_search.recalls import GRID
from tests.evaluation.exact_reranking import exact_ranks, matched
from tests.evaluation.temperature_search.grids import (
    PATHS,
    SMALL,
    log_mean_by_hand,
    made_up,
    needs_numba,
    place_by_hand,
)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (7, 1), (23, 9), (12, 133)])
def test_ranks_equal_loops_at_every_scale(
    shape: tuple[int, int], ties: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images without a text among them, and blocks that do not divide the rows."""
    monkeypatch.setattr(log_means_module, "BLOCK_ELEMENTS", 5 * shape[1])
    scores, owner = made_up(*shape, ties=ties)
    texts, images = shape
    over_texts, over_images = log_means(scores, SMALL, compiled=compiled)
    found_texts = text_ranks(scores, owner, over_texts.mean, compiled=compiled)
    found_images = image_ranks(scores, owner, over_images.mean, compiled=compiled)
    array = scores.double().numpy()
    for k, scale in enumerate(SMALL.scales):
        by_image = [log_mean_by_hand(scores[:, n].tolist(), scale) for n in range(images)]
        for m in range(texts):
            expected = place_by_hand([array[m, n] - by_image[n] for n in range(images)], [int(owner[m])])
            assert found_texts[k, m] == expected
        by_text = [log_mean_by_hand(scores[m].tolist(), scale) for m in range(texts)]
        for n in range(images):
            own = [m for m in range(texts) if owner[m] == n]
            assert found_images[k, n] == place_by_hand([array[m, n] - by_text[m] for m in range(texts)], own)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("scale", [20.0, 170.0, 480.0])
def test_ranks_are_exact_where_a_query_has_nearly_all_of_an_item(scale: float, compiled: bool) -> None:
    scores, owner = matched()
    over_texts, over_images = log_means(scores, Grid(scale), compiled=compiled)
    for ranker, table, direction in ((text_ranks, over_texts, "t2i"), (image_ranks, over_images, "i2t")):
        ranks = ranker(scores, owner, table.mean, Best(table.best, table.best_offset), compiled)
        assert ranks[0].tolist() == exact_ranks(scores, owner, direction, "cross", scale)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("ties", [False, True])
def test_a_collapsed_model_scores_chance_and_equal_offsets_change_no_tie(ties: bool, compiled: bool) -> None:
    owner = torch.arange(12) // 2
    scores = torch.full((12, 6), 0.25)
    if ties:
        scores[:, 3] = 0.5
    offsets = torch.zeros(4, 6).double(), torch.zeros(4, 12).double()
    expected = text_to_image_counts(scores, owner).ranks(), image_to_text_counts(scores, owner).ranks()
    assert (text_ranks(scores, owner, offsets[0], compiled=compiled) == expected[0]).all()
    assert (image_ranks(scores, owner, offsets[1], compiled=compiled) == expected[1]).all()


@needs_numba
def test_compiled_loops_on_several_threads_give_the_ranks_of_the_pytorch_path() -> None:
    scores, owner = made_up(700, 260)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for ranker, table in zip((text_ranks, image_ranks), log_means(scores, GRID, compiled=False), strict=True):
            for best in (None, Best(table.best, table.best_offset)):
                compiled, plain = (ranker(scores, owner, table.mean, best, path) for path in (True, False))
                assert torch.equal(compiled, plain)
    finally:
        torch.set_num_threads(threads)


def test_a_direction_without_normalisers_has_no_additive_ranks() -> None:
    scores, owner = made_up(9, 4)
    over_texts, over_images = (table.mean for table in log_means(scores, SMALL))
    nothing = torch.empty(0)
    both = additive_ranks(scores, owner, SMALL, (over_texts, over_images), beta=0.7)
    images, texts = additive_ranks(scores, owner, SMALL, (over_texts, nothing), beta=0.7)
    assert images.numel() == 0 and torch.equal(texts, both[1])
    images, texts = additive_ranks(scores, owner, SMALL, (nothing, over_images), beta=0.7)
    assert texts.numel() == 0 and torch.equal(images, both[0])


@pytest.mark.parametrize("spread", [1.0, 60.0])
def test_additive_ranks_equal_those_of_the_scores_written_out(spread: float) -> None:
    scores, owner = made_up(21, 8)
    scores = scores * spread
    over_texts, over_images = log_means(scores, SMALL)
    images, texts = additive_ranks(scores, owner, SMALL, (over_texts.mean, over_images.mean), beta=0.7)
    for k, scale in enumerate(SMALL.scales):
        for m in range(21):
            softmax = [
                math.exp(scale * (float(scores[m, n]) - log_mean_by_hand(scores[:, n].tolist(), scale))) / 21
                for n in range(8)
            ]
            values = [float(scores[m, n]) + 0.7 * softmax[n] for n in range(8)]
            assert texts[k, m] == place_by_hand(values, [int(owner[m])])
        for n in range(8):
            softmax = [
                math.exp(scale * (float(scores[m, n]) - log_mean_by_hand(scores[m].tolist(), scale))) / 8
                for m in range(21)
            ]
            values = [float(scores[m, n]) + 0.7 * softmax[m] for m in range(21)]
            assert images[k, n] == place_by_hand(values, [m for m in range(21) if owner[m] == n])


def test_recall_sums_leave_out_queries_without_a_positive() -> None:
    ranks = torch.tensor([[0, -1, 4, 9, 10], [1, -1, 0, 0, 0]])
    assert recall_sum(ranks, (1, 5, 10)).tolist() == [25 + 50 + 75, 75 + 100 + 100]
    with pytest.raises(ValueError, match="none of 2 queries"):
        recall_sum(torch.tensor([[-1, -1]]), (1,))
