"""Ranks from tiles against ranks from the whole matrix, however it is cut and into however many parts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raytrain.evaluation.ranking.counts import Counts, image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.recall import DIRECTIONS, Direction, metrics_of_counts
from raytrain.evaluation.ranking.streaming import (
    Positives,
    Scores,
    Tile,
    count,
    merge,
    own_scores,
    stream_counts,
)
from raytrain.evaluation.ranking.tiles import NUMBERS_PER_MIB, Plan, cut
from raytrain.similarity import cosine, smooth_chamfer


def of_matrix(similarity: Tensor) -> Tile:
    return lambda texts, images: similarity[texts, images].clone()


def whole(similarity: Tensor, owner: Tensor) -> dict[Direction, Counts]:
    return {"i2t": image_to_text_counts(similarity, owner), "t2i": text_to_image_counts(similarity, owner)}


def same(actual: dict[Direction, Counts], expected: dict[Direction, Counts]) -> bool:
    return all(torch.equal(a, b) for way in DIRECTIONS for a, b in zip(actual[way], expected[way], strict=True))


def memory_for(pairs: int) -> float:
    """A budget whose tiles have so many pairs."""
    return pairs * 2 * 3 / NUMBERS_PER_MIB


def made_up(texts: int, items: int, seed: int, values: int, in_order: bool) -> tuple[Tensor, Tensor]:
    """Scores of few values, so that much ties, and owners: several texts per image, and images without one."""
    draw = torch.Generator().manual_seed(seed)
    owner = torch.randint(0, items, (texts,), generator=draw)
    similarity = torch.randint(0, values, (texts, items), generator=draw).float() / 4 - 1
    return similarity, owner.sort().values if in_order else owner


@given(
    texts=st.integers(1, 14),
    items=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    values=st.sampled_from([1, 2, 4, 1000]),
    pairs=st.sampled_from([1, 2, 5, 16, 1000]),
    in_order=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_tiles_give_the_counts_of_the_whole_matrix(
    texts: int, items: int, seed: int, values: int, pairs: int, in_order: bool
) -> None:
    similarity, owner = made_up(texts, items, seed, values, in_order)
    keep = torch.full_like(similarity, torch.nan)
    actual = stream_counts(of_matrix(similarity), owner, items, memory_mib=memory_for(pairs), keep=keep)
    assert same(actual, whole(similarity, owner))
    assert torch.equal(keep, similarity)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("in_order", [True, False])
def test_counts_of_parts_of_the_gallery_add_up_to_those_of_the_whole(shards: int, in_order: bool) -> None:
    similarity, owner = made_up(40, 17, 5, 6, in_order)
    plan = Plan.of(owner, 17, memory_mib=memory_for(16))
    parts = [plan.columns[n::shards] for n in range(shards)]
    assert len(plan.columns) > 3
    workers = [Scores(of_matrix(similarity), plan) for _ in range(shards)]
    owns = [own_scores(worker, part) for worker, part in zip(workers, parts, strict=True)]
    assert shards == 1 or all(own.isnan().any() for own in owns)
    own = torch.stack([part.nan_to_num(0.0) for part in owns]).sum(0)
    positives = Positives.of(own, owner, 17)
    counts = [count(worker, positives, part) for worker, part in zip(workers, parts, strict=True)]
    assert same(merge(counts, positives), whole(similarity, owner))


def test_the_matrix_is_never_made_and_the_held_tiles_keep_to_the_budget() -> None:
    similarity, owner = made_up(60, 30, 1, 50, True)
    shown: list[int] = []

    def tile(texts: Tensor | slice, images: slice) -> Tensor:
        part = similarity[texts, images].clone()
        shown.append(part.numel())
        return part

    plan = Plan.of(owner, 30, memory_mib=memory_for(25))
    assert plan.keep * 25 <= memory_for(25) * NUMBERS_PER_MIB / 2
    scores = Scores(tile, plan)
    positives = Positives.of(own_scores(scores), owner, 30)
    first_pass = len(shown)
    assert 0 < len(scores.held) <= plan.keep < first_pass < len(plan.rows) * len(plan.columns)
    count(scores, positives)
    assert max(shown) <= 25
    assert not scores.held
    assert len(shown) == len(plan.rows) * len(plan.columns) + first_pass - plan.keep


def test_a_small_split_is_one_tile_that_is_made_once() -> None:
    similarity, owner = made_up(6, 4, 2, 50, True)
    shown: list[tuple[object, object]] = []

    def tile(texts: Tensor | slice, images: slice) -> Tensor:
        shown.append((texts, images))
        return similarity[texts, images].clone()

    stream_counts(tile, owner, 4)
    assert shown == [(slice(0, 6), slice(0, 4))]


@pytest.mark.parametrize("sets", [False, True])
def test_a_collapsed_model_scores_chance_through_the_products_themselves(sets: bool) -> None:
    """Equal embeddings get bit-equal scores in every tile, at its edges too: only then do they tie."""
    draw = torch.Generator().manual_seed(0)
    shape = (2, 4, 33) if sets else (2, 33)
    text, image = torch.nn.functional.normalize(torch.randn(shape, generator=draw), dim=-1)
    images, per_image = 61, 5
    query, gallery = text.expand(images * per_image, *text.shape), image.expand(images, *image.shape)
    owner = torch.arange(images).repeat_interleave(per_image)

    def tile(texts: Tensor | slice, part: slice) -> Tensor:
        left, right = query[texts].contiguous(), gallery[part].contiguous()
        return smooth_chamfer(left, right, 16.0) if sets else cosine(left, right)

    metrics = metrics_of_counts(stream_counts(tile, owner, images, memory_mib=memory_for(700)))
    assert metrics["i2t/tied_percent"] == metrics["t2i/tied_percent"] == 100
    assert metrics["t2i/recall_at_10"] == pytest.approx(1000 / images)
    assert metrics["i2t/recall_at_1"] == pytest.approx(100 / images)
    assert metrics["pessimistic_rsum"] == 0


@pytest.mark.parametrize("pairs", [30, 200, 10_000])
def test_ranks_of_embeddings_are_those_of_their_matrix(pairs: int) -> None:
    """Embeddings of small integers: products are exact, and the ranks must be equal whatever the tiles."""
    draw = torch.Generator().manual_seed(3)
    query, gallery = (torch.randint(-3, 4, (n, 16), generator=draw).float() for n in (83, 19))
    owner = torch.randint(0, 19, (83,), generator=draw)
    actual = stream_counts(
        lambda texts, images: cosine(query[texts], gallery[images]), owner, 19, memory_mib=memory_for(pairs)
    )
    assert same(actual, whole(query @ gallery.T, owner))


def test_a_tile_that_comes_out_differently_the_second_time_does_not_move_the_positive() -> None:
    similarity, owner = made_up(30, 20, 4, 3, True)
    seen: set[object] = set()

    def tile(texts: Tensor | slice, images: slice) -> Tensor:
        part = similarity[texts, images].clone()
        if (key := (str(texts), images.start)) in seen:
            rows = torch.arange(30)[texts]
            for row, text in enumerate(rows.tolist()):
                if images.start <= owner[text] < images.stop:
                    part[row, owner[text] - images.start] += 1e-6
        seen.add(key)
        return part

    plan = Plan(owner, *cut(30, 20, 1, memory_for(9)), keep=0)
    scores = Scores(tile, plan)
    positives = Positives.of(own_scores(scores), owner, 20)
    assert same(merge([count(scores, positives)], positives), whole(similarity, owner))


@pytest.mark.parametrize("place", [(0, 0), (5, 2), (3, 1)])
def test_nan_is_an_error_wherever_it_stands(place: tuple[int, int]) -> None:
    similarity, owner = torch.zeros(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    similarity[place] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        stream_counts(of_matrix(similarity), owner, 3, memory_mib=memory_for(2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("pairs", [30, 10_000])
def test_a_gpu_counts_what_the_cpu_counts(pairs: int) -> None:
    draw = torch.Generator().manual_seed(3)
    query, gallery = (torch.randint(-3, 4, (n, 16), generator=draw).float() for n in (83, 19))
    owner = torch.randint(0, 19, (83,), generator=draw)
    there = query.cuda(), gallery.cuda()
    actual = stream_counts(
        lambda texts, images: cosine(there[0][texts], there[1][images]), owner, 19, memory_mib=memory_for(pairs)
    )
    on_cpu: dict[Direction, Counts] = {way: Counts(*(part.cpu() for part in actual[way])) for way in DIRECTIONS}
    assert same(on_cpu, whole(query @ gallery.T, owner))
