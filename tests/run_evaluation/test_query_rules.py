"""The rules that draw queries, on ranks and scores written out."""

from __future__ import annotations

import math

import numpy as np
import torch

from raytrain.run_evaluation.query_rules import contest, drawn_at_random, fall, gain, highest

RANKS = np.array([4, -1, 0, 9, 9, 2])


def test_random_queries_follow_the_seed_and_have_an_answer() -> None:
    first, again, other = (drawn_at_random(RANKS, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other and sorted(first) == [0, 2, 3, 4, 5]
    assert drawn_at_random(RANKS, 0, 2).tolist() == first[:2]


def test_the_worst_come_first_one_of_each_group_and_equals_in_their_order() -> None:
    alone = np.arange(6)
    assert highest(fall(RANKS), alone).tolist() == [3, 4, 0, 5, 2]
    assert highest(fall(RANKS), np.array([0, 0, 1, 1, 1, 2]), 2).tolist() == [3, 0]


def test_a_gain_is_a_ratio_of_ranks() -> None:
    values = gain(np.array([11, 399, 5, 3, -1]), np.array([0, 299, 5, 8, 0]))
    np.testing.assert_allclose(values[:2], [math.log(12), math.log(400 / 300)])
    assert np.isneginf(values[2:]).all(), "equal, worse and unanswered queries are not drawn"


def test_a_contest_is_the_gap_of_five_scores_in_standard_deviations() -> None:
    scores = torch.tensor([[9.0, 8.0, 7.0, 6.0, 5.0, 1.0], [9.0, 0.0, 0.0, 0.0, 0.0, 0.0], [2.0] * 6])
    expected = [-(row[0] - row[4]) / row.std(correction=0) for row in scores[:2].double()]
    torch.testing.assert_close(contest(scores), torch.tensor([*expected, 0.0], dtype=torch.float64))


def test_a_contest_leaves_out_what_a_query_does_not_rank() -> None:
    scores = torch.tensor([[-torch.inf, 3.0, 1.0, -torch.inf, 2.0, -torch.inf]])
    inside = scores[:, [1, 2, 4]]
    torch.testing.assert_close(contest(scores), contest(inside))
    assert float(contest(inside)) == -2 / float(inside.double().std(correction=0))
