"""Which embeddings a search shows as matched, by loops over all pairs of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.errors import UsageError
from raytrain.methods.cross_attention.scan import SCAN
from raytrain.methods.dive import DivE
from raytrain.methods.dvse import DVSE
from raytrain.methods.mv_vse import MVVSE
from raytrain.methods.pvse import PVSE


def embeddings(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def by_loops(query: Tensor, gallery: Tensor) -> list[list[list[int]]]:
    pairs = []
    for texts in query:
        row = []
        for items in gallery:
            cosines = {(k, j): float(a @ b) for k, a in enumerate(texts) for j, b in enumerate(items)}
            row.append(list(max(cosines, key=lambda pair: cosines[pair])))
        pairs.append(row)
    return pairs


def matched(method: Any, query: Tensor, gallery: Tensor, **config: object) -> Tensor | None:
    without_branches = method.__new__(method)
    without_branches.__dict__["config"] = SimpleNamespace(**config)
    result: Tensor | None = without_branches.matched_views(query, gallery)
    return result


@pytest.mark.parametrize(
    ("method", "config"),
    [
        (PVSE, {}),
        (DivE, {"similarity": "smooth_chamfer"}),
        (DivE, {"similarity": "max"}),
        (DVSE, {"score": "max"}),
        (MVVSE, {}),
    ],
)
def test_the_closest_pair_of_sets_is_named(method: Any, config: dict[str, object]) -> None:
    query, gallery = embeddings(4, 3, 8, seed=0), embeddings(5, 2, 8, seed=1)
    result = matched(method, query, gallery, views=2, **config)
    assert result is not None and result.tolist() == by_loops(query, gallery)


@pytest.mark.parametrize("score", ["max", "log_mean_exp"])
def test_a_caption_of_dvse_has_one_embedding(score: str) -> None:
    query, gallery = embeddings(4, 8, seed=0), embeddings(5, 3, 8, seed=1)
    result = matched(DVSE, query, gallery, views=3, score=score)
    assert result is not None
    assert result.tolist() == [[[-1, view] for _, view in row] for row in by_loops(query[:, None], gallery)]


@pytest.mark.parametrize(
    ("method", "config"),
    [
        (PVSE, {"views": 1}), (MVVSE, {"views": 1}),
        (DivE, {"views": 1, "similarity": "max"}), (DVSE, {"views": 1, "score": "max"}),
        (DivE, {"views": 4, "similarity": "match_probability"}), (DVSE, {"views": 4, "score": "mean"}),
    ],
)  # fmt: skip
def test_none_matches_where_one_embedding_or_a_mean_decides(method: Any, config: dict[str, object]) -> None:
    assert matched(method, embeddings(2, 1, 4, seed=0), embeddings(2, 1, 4, seed=1), **config) is None


def test_words_against_regions_have_no_score_of_images_with_images() -> None:
    with pytest.raises(UsageError, match="no score of images with images"):
        SCAN.item_similarity(SimpleNamespace(), torch.zeros(1), torch.zeros(1))  # type: ignore[arg-type]
