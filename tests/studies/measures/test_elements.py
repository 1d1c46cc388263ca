"""Measures of elements on sets whose matches are known."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain import similarity
from raytrain.studies.measures.elements import gradient_evenness_of, share_ever_best_of

OWNER = torch.tensor([0, 0, 1])


def test_an_element_counts_once_it_is_the_closest_of_a_caption() -> None:
    gallery = torch.eye(4)[:2].expand(2, 2, 4)  # both images have e1 and e2
    captions = torch.eye(4)[[0, 0, 1]]
    assert share_ever_best_of(captions, gallery, OWNER) == 0.5
    assert share_ever_best_of(torch.eye(4)[[0, 1, 1]], gallery, OWNER) == 0.75
    sets = torch.stack([torch.eye(4)[[2, 1]]] * 3)  # e3 is far from all; e2 is matched
    assert share_ever_best_of(sets, gallery, OWNER) == 0.5


def sum_of_pairs(query: Tensor, gallery: Tensor) -> Tensor:
    return torch.einsum("qkd,gjd->qg", query, gallery)


def test_a_similarity_of_the_best_pair_alone_trains_elements_less_evenly_than_a_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(20, 2, 8, generator=generator), torch.randn(10, 4, 8, generator=generator)
    owner = torch.arange(10).repeat_interleave(2)

    def evenness(compared_by: Callable[[Tensor, Tensor], Tensor]) -> float:
        model: Any = SimpleNamespace(similarity=compared_by)
        return gradient_evenness_of(model, query, gallery, owner, margin=9.0)

    assert evenness(sum_of_pairs) == pytest.approx(1.0)
    assert evenness(similarity.max_similarity) < 0.6
