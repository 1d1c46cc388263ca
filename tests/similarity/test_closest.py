"""The closest elements of two sets."""

from __future__ import annotations

import torch

from raytrain.similarity import closest_elements


def test_the_pair_with_the_largest_cosine_is_named() -> None:
    query = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    gallery = torch.tensor([[[0.6, 0.8], [0.8, 0.6]], [[0.0, 1.0], [-1.0, 0.0]]])
    assert closest_elements(query, gallery).tolist() == [[[0, 1], [1, 0]]]
    assert closest_elements(query[:, :1], gallery).tolist() == [[[-1, 1], [-1, 0]]]
