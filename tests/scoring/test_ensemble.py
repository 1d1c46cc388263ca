"""The mean of several models' scores, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.scoring.embed import count_pairs, score
from raytrain.scoring.ensemble import EmbeddedMember, MeanScores, mean_and_spread
from tests.scoring.dot import Dot

OWNER = torch.arange(4).repeat_interleave(3)


class Squared(Dot):
    """Scores of another shape of embedding, (Q, 2, D), and of another scale."""

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return 100 - (query[:, None] - gallery[None]).square().sum((-1, -2))


def members(shift: float = 0.0, spread: float = 1.0) -> list[EmbeddedMember]:
    generator = torch.Generator().manual_seed(0)
    first = EmbeddedMember(Dot(), torch.randn(12, 5, generator=generator), torch.randn(4, 5, generator=generator))
    second = (torch.randn(12, 2, 3, generator=generator), torch.randn(4, 2, 3, generator=generator))
    return [first, EmbeddedMember(Squared(), *second, shift, spread)]


def by_numpy(given: list[EmbeddedMember]) -> np.ndarray:
    scores = [(each.model.similarity(each.query, each.gallery).numpy() - each.shift) / each.spread for each in given]
    return np.mean(scores, axis=0)


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (80.0, 7.0)])
def test_the_mean_is_that_of_numpy_on_each_members_scale(shift: float, spread: float) -> None:
    given = members(shift, spread)
    mean = MeanScores(given)
    np.testing.assert_allclose(score(mean, *mean.positions()).numpy(), by_numpy(given), rtol=1e-5, atol=1e-5)


def test_counts_tile_by_tile_are_those_of_the_matrix() -> None:
    mean = MeanScores(members())
    scores = torch.empty(12, 4)
    counts = count_pairs(mean, *mean.positions(), OWNER, memory_mib=1e-4, keep=scores)
    ranks = (scores > scores.gather(1, OWNER[:, None])).sum(1)
    assert torch.equal(counts["t2i"].ranks(), ranks)
    np.testing.assert_allclose(scores.numpy(), by_numpy(members()), rtol=1e-5, atol=1e-5)


def test_a_part_of_the_split_is_scored_by_its_positions() -> None:
    mean = MeanScores(members())
    whole, chosen = score(mean, *mean.positions()), torch.tensor([7, 2])
    torch.testing.assert_close(score(mean, chosen, torch.tensor([3, 0])), whole[chosen][:, [3, 0]])


def test_a_pair_costs_what_it_costs_the_largest_member_and_a_sum() -> None:
    assert MeanScores(members()).pair_cost(*MeanScores(members()).positions()) == 1 + 2 * 2


def test_mean_and_spread_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.evaluation.protocols.composed.BLOCK_ELEMENTS", 20)  # three blocks
    for member in members():
        scores = member.model.similarity(member.query, member.gallery).double().numpy()
        assert mean_and_spread(member, 1.0) == pytest.approx((scores.mean(), scores.std()), rel=1e-6)
