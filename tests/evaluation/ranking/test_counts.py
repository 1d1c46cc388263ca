"""Ranks by counting against a plain sort, with ties, several positives, none, and chunks that do not divide."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.evaluation.ranking import counts
from raytrain.evaluation.ranking.counts import Ties, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.recall import image_text_metrics, mean_rank, median_rank, recall_at


def text_image_ranks(similarity: Tensor, owner: Tensor, ties: Ties = "ordered") -> tuple[Tensor, Tensor]:
    return image_to_text_counts(similarity, owner).ranks(ties), text_to_image_counts(similarity, owner).ranks(ties)


def ranks_by_sorting(similarity: Tensor, relevant: Tensor) -> list[int]:
    """An ascending stable sort read backwards, then the first relevant place."""
    found = []
    for scores, positive in zip(similarity.tolist(), relevant.tolist(), strict=True):
        order = sorted(range(len(scores)), key=lambda item: scores[item])[::-1]
        found.append(next((place for place, item in enumerate(order) if positive[item]), -1))
    return found


def pessimistic_by_hand(similarity: Tensor, relevant: Tensor) -> list[int]:
    found = []
    for scores, positive in zip(similarity.tolist(), relevant.tolist(), strict=True):
        mine = [score for score, yes in zip(scores, positive, strict=True) if yes]
        if not mine:
            found.append(-1)
            continue
        best = max(mine)
        above = [s > best or (s == best and not yes) for s, yes in zip(scores, positive, strict=True)]
        found.append(sum(above))
    return found


def tied_scores(queries: int, gallery: int, seed: int = 0) -> Tensor:
    """Few distinct values, so that most queries have ties."""
    return torch.randint(0, 4, (queries, gallery), generator=torch.Generator().manual_seed(seed)).float()


@given(
    texts=st.integers(1, 13),
    images=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    chunk=st.sampled_from([1, 7, 4_000_000]),
)
@settings(max_examples=60, deadline=None)
def test_ranks_of_both_directions_equal_a_stable_sort_read_backwards(
    texts: int, images: int, seed: int, chunk: int
) -> None:
    similarity = tied_scores(texts, images, seed)
    # in no order, and some images have no text
    owner = torch.randint(0, images, (texts,), generator=torch.Generator().manual_seed(seed))
    relevant = owner[:, None] == torch.arange(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "CHUNK_ELEMENTS", chunk)
        for ties, expected in (("ordered", ranks_by_sorting), ("pessimistic", pessimistic_by_hand)):
            i2t, t2i = text_image_ranks(similarity, owner, ties)  # type: ignore[arg-type]
            assert i2t.tolist() == expected(similarity.T, relevant.T)
            assert t2i.tolist() == expected(similarity, relevant)


def test_one_query_and_one_item_has_rank_zero() -> None:
    assert [part.tolist() for part in text_image_ranks(torch.zeros(1, 1), torch.zeros(1))] == [[0], [0]]


def test_a_collapsed_model_scores_chance_and_zero_when_ties_lose() -> None:
    images, each = 40, 5
    owner = torch.arange(images).repeat_interleave(each)
    metrics = image_text_metrics(torch.full((images * each, images), 0.3), owner)
    assert metrics["t2i/recall_at_1"] == pytest.approx(100 / images)
    assert metrics["t2i/recall_at_10"] == pytest.approx(1000 / images)
    assert metrics["i2t/recall_at_1"] == pytest.approx(100 / images)  # 5 of 200 captions
    assert metrics["i2t/recall_at_10"] <= 1000 / images
    assert metrics["pessimistic_rsum"] == 0
    assert metrics["i2t/tied_percent"] == metrics["t2i/tied_percent"] == 100


def test_a_perfect_model_scores_everything_without_ties() -> None:
    owner = torch.arange(12).repeat_interleave(2)
    metrics = image_text_metrics((owner[:, None] == torch.arange(12)).float(), owner)
    assert metrics["rsum"] == metrics["pessimistic_rsum"] == 600
    assert metrics["i2t/median_rank"] == metrics["t2i/mean_rank"] == 1
    assert metrics["t2i/tied_percent"] == 0


def test_queries_without_a_positive_leave_the_denominator() -> None:
    assert recall_at(torch.tensor([0, -1, 3, 1]), 1) == pytest.approx(100 / 3)
    with pytest.raises(ValueError, match="none of 2 queries"):
        recall_at(torch.tensor([-1, -1]), 1)


def test_median_and_mean_are_one_based_and_the_median_rounds_down() -> None:
    assert median_rank(torch.tensor([0, 1, 2, 7])) == 2
    assert mean_rank(torch.tensor([0, 1, 2, 7])) == 3.5


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (3, 1)])
def test_nan_is_an_error_wherever_it_stands(place: tuple[int, int]) -> None:
    similarity = torch.zeros(4, 2)
    similarity[place] = torch.nan
    owner = torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match="NaN"):
        text_image_ranks(similarity, owner)


@pytest.mark.parametrize("owner", [[0, 1], [0, 1, 5], [0, 1, -1]])
def test_owners_that_do_not_fit_are_refused(owner: list[int]) -> None:
    with pytest.raises(ValueError, match="item_of_text"):
        text_image_ranks(torch.zeros(3, 2), torch.tensor(owner))
