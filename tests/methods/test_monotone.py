"""Which methods an index can bound: their scores are functions of inner products that never fall where one rises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain.config import METHOD_CONFIGS, EncoderConfig
from raytrain.methods import METHODS
from raytrain.methods.base import Inputs, Method

D = 8
# (kind, its settings, dimensions of a query and of an item before D)
BOUNDED: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    *(("dvse", {"views": 3, "score": score, "fused_weight": 1.0}, (), (3,)) for score in ("max", "mean", "learned")),
    ("dvse", {"views": 3, "score": "log_mean_exp"}, (), (3,)),
    *(
        ("dive", {"views": 3, "similarity": name, "heads": 1}, (3,), (3,))
        for name in ("smooth_chamfer", "chamfer", "max")
    ),
    *(
        ("maxmatch", {"views": 3, "heads": 1, **change}, (3,), (3,))
        for change in ({}, {"pair_score": "exponential"}, {"search_by": "top_pairs"}, {"similarity": "max"})
    ),
    ("mv_vse", {"views": 3}, (), (3,)),
    ("pvse", {"views": 3}, (3,), (3,)),
    ("vse_infinity", {}, (), ()),
    ("vsepp", {"image": "mean"}, (), ()),
    ("vsrn", {}, (), ()),
    ("pcme", {}, (), ()),
    ("asymvlm", {}, (), ()),
    ("composed", {}, (), ()),
    ("rau", {}, (), ()),
]


def built(kind: str, settings: dict[str, Any]) -> Method:
    inputs = Inputs(region_features=6, token_features=5, global_region=0)
    method: Method = METHODS[kind](EncoderConfig(dim=D, gpo_dim=4), METHOD_CONFIGS[kind](**settings), inputs)
    return method.eval()


def with_products(products: Tensor, query: tuple[int, ...], item: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A query of I vectors and an item of J whose inner products are these (I, J)."""
    asking, entry = torch.zeros(products.shape[0], D), torch.zeros(products.shape[1], D)
    asking[:, : products.shape[1]] = products
    entry[:, : products.shape[1]] = torch.eye(products.shape[1])
    return asking.view(1, *query, D), entry.view(1, *item, D)


@pytest.mark.parametrize(("kind", "settings", "query", "item"), BOUNDED, ids=lambda value: str(value))
@torch.no_grad()
def test_scores_rise_with_inner_products_and_by_no_more(
    kind: str, settings: dict[str, Any], query: tuple[int, ...], item: tuple[int, ...]
) -> None:
    method, draw = built(kind, settings), torch.Generator().manual_seed(0)
    assert method.monotone
    for sides, score in (((query, item), method.similarity), ((item, item), method.item_similarity)):
        shape = tuple(side[0] if side else 1 for side in sides)
        for _ in range(20):
            products = 2 * torch.rand(shape, generator=draw) - 1
            rise = 0.3 * torch.rand(shape, generator=draw) * (torch.rand(shape, generator=draw) < 0.5)
            before, after = (float(score(*with_products(p, *sides))) for p in (products, products + rise))
            assert -1e-6 <= after - before <= float(rise.max()) + 1e-6
            turned = torch.linalg.qr(torch.randn(D, D, generator=draw)).Q  # products stay, vectors do not
            left, right = with_products(products, *sides)
            assert float(score(left @ turned, right @ turned)) == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("dive", {"similarity": "match_probability", "heads": 1}), ("vsepp", {"image": "mean", "order": True}),
        ("pcme", {"search_by": "match_probability"}), ("pcmepp", {}), ("scan", {}), ("sgraf", {}),
        ("imram", {}), ("naaf", {}), ("caan", {}),
        ("half_queries", {}),
    ],
)  # fmt: skip
def test_other_scores_are_not_bounded(kind: str, settings: dict[str, Any]) -> None:
    assert not built(kind, settings).monotone
