"""Ranks in drawn galleries against loops that repeat the drawn items, and intervals that hold for new products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.evaluation.protocols.composed import ComposedQueries, answers, evaluate_composed
from raytrain.evaluation.protocols.gallery_draws import BLOCKS, DRAWS, GalleryDraws, drawn_ranks, item_counts
from raytrain.evaluation.significance import recall_intervals


def test_each_draw_takes_as_many_items_as_there_are_and_every_run_the_same() -> None:
    counts = item_counts(40)
    assert counts.shape == (40, DRAWS)
    assert counts.sum(0).tolist() == [40] * DRAWS
    assert torch.equal(counts, item_counts(40))
    assert float(counts.var()) == pytest.approx(1, abs=0.1)  # of a binomial of 40 and 1 / 40


def test_a_drawn_rank_counts_items_above_as_often_as_they_were_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 4, (30, 12), generator=generator).float()  # many ties
    scores[torch.arange(30), torch.arange(30) % 12] = -torch.inf  # the reference
    targets = torch.stack([(torch.arange(30) + 1) % 12, torch.where(torch.arange(30) % 2 == 0, 5, -1)], 1)
    targets[targets == (torch.arange(30) % 12)[:, None]] = -1
    counts = item_counts(12)
    result = drawn_ranks(scores, targets, counts, k=5)
    for query in range(30):
        own = [(float(scores[query, t]), t) for t in targets[query].tolist() if t >= 0]
        above = [item for item in range(12) if (float(scores[query, item]), item) > max(own)]
        for draw in (0, 57):
            assert result[query, draw] == sum(int(counts[item, draw]) for item in above)


def test_a_target_far_behind_is_in_no_draw() -> None:
    scores = torch.arange(400.0).repeat(2, 1)
    targets = torch.tensor([[380], [5]])  # ranks 19 and 394
    result = drawn_ranks(scores, targets, item_counts(400), k=10)
    assert result[0].mean() == pytest.approx(19, abs=2) and result[0].isfinite().all()
    assert result[1].isinf().all()


def made(
    items: np.ndarray, generator: np.random.Generator, queries: int, noise: float
) -> tuple[Tensor, ComposedQueries]:
    """Scores of queries near a target, pulled to their reference; targets and references are drawn from the items."""
    reference = generator.integers(0, len(items), queries)
    target = (reference + generator.integers(1, len(items), queries)) % len(items)
    query = (
        items[target] + noise * generator.standard_normal((queries, items.shape[1])) + 0.5 * noise * items[reference]
    )
    scores = torch.from_numpy(2 * query @ items.T - (items**2).sum(1))
    nothing = torch.full((queries, 1), -1)
    part = torch.zeros(len(items), dtype=torch.int64)
    targets = torch.from_numpy(target)[:, None]
    return scores, ComposedQueries(torch.from_numpy(reference), targets, nothing, part, [""], [], [])


def kept(scores: Tensor, queries: ComposedQueries) -> tuple[float, dict[str, np.ndarray]]:
    result = evaluate_composed(lambda rows, _: iter([(rows, scores.clone())]), queries, "split/test")
    arrays = {**result.ranks, **result.groups, **{f"gallery/{k}": v for k, v in result.gallery_draws.items()}}
    return result.metrics["rsum"], {name: value.numpy() for name, value in arrays.items()}


def test_intervals_hold_for_new_products_and_those_over_references_alone_do_not() -> None:
    """120 catalogues of 60 items each: rsum of a catalogue is meant to be that of all such catalogues."""
    generator = np.random.default_rng(0)
    values, old, new = [], [], []
    for _ in range(120):
        items = generator.standard_normal((60, 4))
        value, ranks = kept(*made(items, generator, 900, 0.5))
        values.append(value)
        new.append(recall_intervals(ranks)["rsum"])
        old.append(recall_intervals({name: ranks[name] for name in ("query", "reference")})["rsum"])
    truth = np.mean(values)
    holds = {name: np.mean([low <= truth <= high for low, high in of]) for name, of in (("old", old), ("new", new))}
    assert holds["new"] > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 120)
    assert holds["old"] < 0.8


def test_draws_do_not_depend_on_how_queries_are_blocked_and_leave_out_those_without_a_target() -> None:
    generator = np.random.default_rng(1)
    scores, queries = made(generator.standard_normal((20, 3)), generator, 50, 1.0)
    queries.targets[::7] = -1
    whole, split = (GalleryDraws((1, 10), queries.reference) for _ in range(2))
    counts = item_counts(20)
    whole.add(torch.arange(50), scores, queries.targets, counts)
    for rows in torch.arange(50).split(17):
        split.add(rows, scores[rows], queries.targets[rows], counts)
    recalls = whole.recalls("x/")
    assert list(recalls) == ["x/recall_at_1", "x/recall_at_10"]
    for name, percent in split.recalls("x/").items():
        assert percent.shape == (DRAWS, BLOCKS)
        torch.testing.assert_close(percent, recalls[name])
    assert whole.queries == int((queries.targets >= 0).sum())
    ranked = answers(lambda rows, _: iter([(rows, scores.clone())]), queries)  # validation draws nothing
    assert len(ranked.counts.ranks()) == 50
