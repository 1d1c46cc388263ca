"""Which elements of sets get a gradient: the closest pair alone, or all, by similarity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain import similarity
from raytrain.losses import set_triplet
from raytrain.scoring.supervision import element_gradients, supervision

SMOOTH = partial(similarity.smooth_chamfer, alpha=4.0)


def sets(items: int = 12, elements: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    query = normalize(torch.randn(2 * items, elements, 8, generator=draw, dtype=torch.float64), dim=-1)
    gallery = normalize(torch.randn(items, elements, 8, generator=draw, dtype=torch.float64), dim=-1)
    return query, gallery, torch.arange(items).repeat_interleave(2)


@pytest.mark.parametrize("score", [similarity.max_similarity, SMOOTH])
def test_gradients_are_finite_differences_of_the_loss(score: Callable[[Tensor, Tensor], Tensor]) -> None:
    query, gallery, owner = sets(items=3)
    positives = owner[:, None] == torch.arange(3)
    of_texts, of_images = element_gradients(score, query, gallery, positives, 0.3)
    for side, norms in ((0, of_texts), (1, of_images)):
        for k in range(3):
            slopes = []
            for d in range(8):
                moved = [query.clone(), gallery.clone()]
                moved[side][0, k, d] += 1e-6
                change = set_triplet(score(*moved), positives, 0.3) - set_triplet(score(query, gallery), positives, 0.3)
                slopes.append(float(change) / 1e-6)
            assert float(norms[0, k]) == pytest.approx(torch.tensor(slopes).norm().item(), rel=1e-3, abs=1e-6)


def test_the_closest_pair_alone_trains_few_elements_and_smooth_chamfer_all() -> None:
    query, gallery, owner = sets()
    sparse = supervision(similarity.max_similarity, query, gallery, owner, images=6, batches=4)
    dense = supervision(SMOOTH, query, gallery, owner, images=6, batches=4)
    matched = supervision(similarity.best_assignment, query, gallery, owner, images=6, batches=4)
    assert sparse.text_share < 0.8 and dense.text_share == dense.image_share == 1
    assert matched.text_share > sparse.text_share
    assert sparse.image_evenness is not None and dense.image_evenness is not None
    assert 0 <= sparse.image_evenness < dense.image_evenness <= 1
    for measures in (sparse, dense, matched):
        assert sum(measures.text_gradient) == pytest.approx(3) and len(measures.image_gradient) == 3


def test_where_nothing_costs_nothing_is_supervised() -> None:
    _, gallery, _ = sets()
    alone = supervision(similarity.max_similarity, gallery, gallery, torch.arange(len(gallery)), margin=0.0)
    assert (alone.text_share, alone.image_share, alone.image_gradient) == (0.0, 0.0, [0.0, 0.0, 0.0])
    assert alone.image_evenness is None


def test_a_sum_over_all_pairs_trains_the_elements_of_an_image_alike() -> None:
    query, gallery, owner = sets()
    alike = supervision(lambda a, b: torch.einsum("qkd,gjd->qg", a, b), query, gallery, owner, margin=9.0)
    assert alike.image_evenness == pytest.approx(1)
