"""Measures of elements on sets whose matches are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from raytrain import similarity
from raytrain.studies.measures.elements import gradient_evenness, share_ever_best

OWNER = torch.tensor([0, 0, 1])


def run_of(captions: Tensor, images: Tensor, owner: Tensor, score: Any = None) -> Any:
    """A run that embeds so, with a margin that no caption keeps."""
    return SimpleNamespace(
        embedded=(captions, images),
        similarity=(None, owner),
        model=SimpleNamespace(similarity=score),
        record=SimpleNamespace(config={"method.margin": 9.0}),
    )


def test_an_element_counts_once_it_is_the_closest_of_a_caption() -> None:
    gallery = torch.eye(4)[:2].expand(2, 2, 4)  # both images have e1 and e2
    assert share_ever_best(run_of(torch.eye(4)[[0, 0, 1]], gallery, OWNER)) == 0.5
    assert share_ever_best(run_of(5 * torch.eye(4)[[0, 1, 1]], gallery, OWNER)) == 0.75
    assert share_ever_best(run_of(torch.eye(4)[[0, 1, 1]], gallery[:, 0], OWNER)) is None


def test_a_score_of_the_best_pair_alone_trains_elements_less_evenly_than_the_best_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(20, 2, 8, generator=generator), torch.randn(10, 4, 8, generator=generator)
    owner = torch.arange(10).repeat_interleave(2)
    best, each = (
        gradient_evenness(run_of(query, gallery, owner, score))
        for score in (similarity.max_similarity, similarity.chamfer)
    )
    assert best is not None and each is not None and best < each
    assert gradient_evenness(run_of(query, gallery[:, :1], owner, similarity.chamfer)) is None
