"""How methods of views compare images with images; which views matched is tested in test_matched_views.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.config import DVSEConfig, EncoderConfig, MVVSEConfig
from raytrain.methods.base import Inputs
from raytrain.methods.dvse import DVSE
from raytrain.methods.mv_vse import MVVSE
from raytrain.methods.views import ViewsMethod

VIEWS = 3


def build(kind: type[Any]) -> ViewsMethod:
    config = {DVSE: DVSEConfig, MVVSE: MVVSEConfig}[kind](views=VIEWS)
    return kind(EncoderConfig(dim=4), config, Inputs(region_features=5, token_features=6))  # type: ignore[no-any-return]


def views(items: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(items, VIEWS, 4, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("kind", [DVSE, MVVSE])
def test_each_view_of_an_item_asks_like_a_caption(kind: type[Any]) -> None:
    method, items, others = build(kind), views(2, 0), views(5, 1)
    actual = method.item_similarity(items, others)
    for n in range(2):
        for g in range(5):
            best = [max(float(items[n, k] @ others[g, j]) for j in range(VIEWS)) for k in range(VIEWS)]
            assert actual[n, g].item() == pytest.approx(sum(best) / VIEWS, abs=1e-6)
