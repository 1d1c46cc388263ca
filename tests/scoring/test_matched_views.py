"""The matched pair of embeddings, from the side that asks."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.scoring.matched_views import views_of


class Numbered(Method):
    """The first argument's only embedding matches view `item` of the n-th second one, which is n."""

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        pairs = torch.full((len(query), len(gallery), 2), -1)
        pairs[..., 1] = torch.arange(len(gallery))
        return pairs


def test_a_text_asks_and_the_images_have_views() -> None:
    assert views_of(Numbered(), torch.zeros(4), torch.zeros(2, 3, 4), texts=False) == [(None, 0), (None, 1)]


def test_an_image_asks_and_its_own_view_comes_first() -> None:
    assert views_of(Numbered(), torch.zeros(3, 4), torch.zeros(2, 4), texts=True) == [(0, None), (0, None)]


def test_a_method_without_matched_views_has_none() -> None:
    assert views_of(Method(), torch.zeros(4), torch.zeros(2, 4), texts=False) == [(None, None)] * 2
