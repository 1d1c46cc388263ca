"""The bound of what was not found, against the published sums and against entries that reach it."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain import similarity
from raytrain.methods.base import Method
from raytrain.retrieval.index.certificate import Certainty, ceiling, is_proved, raised
from tests.retrieval.index.made import Compared, sets, smooth_chamfer, views


def ceiling_of(method: Method, highest: torch.Tensor, elements: int, dim: int = 8) -> list[float]:
    sides = torch.Size([highest.shape[1], dim]), torch.Size([elements, dim])
    return [float(value) for value in ceiling(method, highest, elements, sides, "images")]


@pytest.mark.parametrize("alpha", [1.0, 16.0, 100.0])
@pytest.mark.parametrize(("asking", "elements"), [(1, 1), (4, 4), (2, 8)])
def test_the_ceiling_of_smooth_chamfer_is_the_derived_sum(alpha: float, asking: int, elements: int) -> None:
    highest = torch.rand(3, asking, generator=torch.Generator().manual_seed(0))
    expected = []
    for row in highest.tolist():
        by_query = sum(row) / asking + math.log(elements) / alpha
        by_entry = 1 + math.log(sum(math.exp(alpha * (value - 1)) for value in row)) / alpha
        expected.append((by_query + by_entry) / 2)
    assert ceiling_of(Compared(smooth_chamfer(alpha)), highest, elements) == pytest.approx(expected, rel=1e-5)


def test_ceilings_of_maximum_chamfer_and_view_scores() -> None:
    highest = torch.tensor([[0.2, 0.5]])
    assert ceiling_of(Compared(similarity.max_similarity), highest, 3) == pytest.approx([0.5])
    assert ceiling_of(Compared(similarity.chamfer), highest, 3) == pytest.approx([(0.35 + 0.5) / 2])
    for score, weights in (
        ("max", None),
        ("mean", None),
        ("log_mean_exp", None),
        ("learned", torch.tensor([0.25] * 4)),
    ):
        method = Compared(views(score, 16.0, weights))
        forms = torch.Size([8]), torch.Size([4, 8])
        assert float(ceiling(method, torch.tensor([[0.3]]), 4, forms, "images")) == pytest.approx(0.3)
        # texts are entries, and the four views of an image ask
        asking = torch.tensor([[0.1, 0.2, 0.3, 0.0]])
        of_texts = float(ceiling(method, asking, 1, (forms[1], forms[0]), "texts"))
        assert of_texts == pytest.approx(float(similarity.pool_views(asking, score, 16.0, weights)))


@pytest.mark.parametrize(
    "compare", [similarity.max_similarity, similarity.chamfer, smooth_chamfer(1.0), smooth_chamfer(50.0)]
)
@pytest.mark.parametrize("elements", [1, 3, 8])
def test_no_entry_is_above_the_ceiling_of_its_own_products(compare, elements: int) -> None:  # type: ignore[no-untyped-def]
    asking, entries = sets(5, 4, 6, 0), sets(200, elements, 6, 1, "clustered")
    scores = compare(asking, entries)
    products = torch.einsum("qid,gjd->qgij", asking, entries).amax(-1)  # largest product of each asking vector
    for number in range(200):
        bound = ceiling_of(Compared(compare), products[:, number], elements, 6)
        assert bool((scores[:, number] <= torch.tensor(bound) + 1e-6).all())


def test_bounds_are_raised_by_what_storing_and_rounding_lose() -> None:
    bounds = raised(torch.tensor([[0.5]]), torch.tensor([[2.0]]), 256, 0.01, 1.0)
    assert bounds.dtype == torch.float64
    assert 0.52 < float(bounds) < 0.5202
    assert float(raised(torch.tensor([[0.5]]), torch.tensor([[1.0]]), 256, 0.0, 1.0)) == pytest.approx(0.5, abs=5e-5)


def test_equal_scores_prove_nothing() -> None:
    assert is_proved(0.5, 0.49, 8)
    assert not is_proved(0.5, 0.5, 8) and not is_proved(0.5, 0.5 - 1e-7, 8) and not is_proved(-math.inf, -2.0, 8)


def test_certainty_in_words() -> None:
    assert str(Certainty("scored", 1000)) == "exact: all 1,000 were compared"
    assert str(Certainty("proved", 64)).startswith("proved exact: 64 were compared")
    assert str(Certainty("approximate", 64, 0.9, 20)) == "approximate, recall 0.900 measured on 20 queries"
    assert "unlike all 200" in str(Certainty("approximate", 64, None, 200))
    assert "not measured" in str(Certainty("approximate", 64))
