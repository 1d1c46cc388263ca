"""The best of each query."""

from __future__ import annotations

import torch

from raytrain.retrieval.top_k import top_k


def test_equal_scores_stand_in_the_order_of_the_gallery() -> None:
    scores = torch.tensor([[0.5, 1.0, 0.5, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0, 3.0]])
    assert [row.tolist() for row in top_k(scores, 3)] == [[1, 3, 0], [4, 0, 1]]


def test_what_is_not_ranked_is_left_out_and_k_may_be_large() -> None:
    scores = torch.tensor([[2.0, -torch.inf, 3.0]])
    assert [row.tolist() for row in top_k(scores, 10)] == [[2, 0]]
