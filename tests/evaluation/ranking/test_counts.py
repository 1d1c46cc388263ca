"""Ranks by counting against a plain sort, with ties, several positives, none, and chunks that do not divide."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.evaluation.ranking import counts, ranks
from raytrain.evaluation.ranking.counts import Ties, image_to_text_counts, text_to_image_counts


def text_image_ranks(similarity: Tensor, owner: Tensor, ties: Ties = "ordered") -> tuple[Tensor, Tensor]:
    return image_to_text_counts(similarity, owner).ranks(ties), text_to_image_counts(similarity, owner).ranks(ties)


def ranks_by_sorting(similarity: Tensor, relevant: Tensor) -> list[int]:
    """An ascending stable sort read backwards, then the first relevant place."""
    places = []
    for scores, positive in zip(similarity.tolist(), relevant.tolist(), strict=True):
        order = sorted(range(len(scores)), key=lambda item: scores[item])[::-1]
        places.append(next((place for place, item in enumerate(order) if positive[item]), -1))
    return places


def pessimistic_by_hand(similarity: Tensor, relevant: Tensor) -> list[int]:
    places = []
    for scores, positive in zip(similarity.tolist(), relevant.tolist(), strict=True):
        mine = [score for score, yes in zip(scores, positive, strict=True) if yes]
        if not mine:
            places.append(-1)
            continue
        best = max(mine)
        above = [s > best or (s == best and not yes) for s, yes in zip(scores, positive, strict=True)]
        places.append(sum(above))
    return places


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


@given(
    queries=st.integers(1, 7),
    items=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    chunk=st.sampled_from([1, 20, 4_000_000]),
)
@settings(max_examples=60, deadline=None)
def test_the_best_of_any_relevant_items_ranks_as_in_a_stable_sort_read_backwards(
    queries: int, items: int, seed: int, share: float, chunk: int
) -> None:
    """None to all items are relevant, and most scores tie."""
    similarity = tied_scores(queries, items, seed)
    relevant = torch.rand(queries, items, generator=torch.Generator().manual_seed(seed)) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "CHUNK_ELEMENTS", chunk)
        assert ranks(similarity, relevant).tolist() == ranks_by_sorting(similarity, relevant)
        assert ranks(similarity, relevant, ties="pessimistic").tolist() == pessimistic_by_hand(similarity, relevant)


def test_queries_without_a_relevant_item_have_rank_minus_one() -> None:
    similarity = torch.tensor([[0.1, 0.9], [0.2, 0.3]])
    assert ranks(similarity, torch.tensor([[False, False], [True, False]])).tolist() == [-1, 1]
    assert ranks(similarity, torch.zeros(2, 2, dtype=torch.bool)).tolist() == [-1, -1]
    assert ranks(similarity[:0], torch.zeros(0, 2, dtype=torch.bool)).tolist() == []


def test_ranks_refuse_nan_and_a_choice_of_ties_that_does_not_exist() -> None:
    relevant = torch.tensor([[True, False]])
    with pytest.raises(ValueError, match="NaN"):
        ranks(torch.tensor([[0.5, torch.nan]]), relevant)
    with pytest.raises(ValueError, match="ordered, pessimistic"):
        ranks(torch.tensor([[0.5, 0.2]]), relevant, ties="random")  # type: ignore[arg-type]


def test_one_query_and_one_item_has_rank_zero() -> None:
    assert [part.tolist() for part in text_image_ranks(torch.zeros(1, 1), torch.zeros(1))] == [[0], [0]]


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
