"""The best one-to-one assignment against scipy's, and against loops over all permutations."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.similarity import assignment, best_assignment, chamfer, max_similarity, top_pairs


def sets(number: int, elements: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(number, elements, 8, generator=generator, dtype=dtype), dim=-1)


def pooled(values: list[float], scale: float | None) -> float:
    if scale is None:
        return sum(values) / len(values)
    return math.log(sum(math.exp(scale * value) for value in values) / len(values)) / scale


@pytest.mark.parametrize("scale", [None, 1.0, 16.0])
@pytest.mark.parametrize("elements", [1, 2, 4, 5, 6])
def test_the_score_is_that_of_the_best_permutation(elements: int, scale: float | None) -> None:
    query, gallery = sets(3, elements, 0), sets(4, elements, 1)
    expected = [
        [
            max(
                pooled([float(a[k] @ b[j]) for k, j in enumerate(order)], scale)
                for order in itertools.permutations(range(elements))
            )
            for b in gallery
        ]
        for a in query[:2]
    ]
    torch.testing.assert_close(best_assignment(query, gallery, scale)[:2], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("scale", [None, 8.0])
@pytest.mark.parametrize("elements", [3, 5, 7])
def test_scipy_finds_no_better_assignment(elements: int, scale: float | None) -> None:
    query, gallery = sets(6, elements, 0), sets(5, elements, 1)
    for row, a in zip(best_assignment(query, gallery, scale), query, strict=True):
        for score, b in zip(row, gallery, strict=True):
            cosines = (a @ b.T).numpy()
            rows, columns = linear_sum_assignment(
                cosines if scale is None else torch.from_numpy(scale * cosines).exp().numpy(), maximize=True
            )
            assert float(score) == pytest.approx(pooled(cosines[rows, columns].tolist(), scale), abs=1e-12)


def test_blocks_of_pairs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = sets(7, 4, 0, torch.float32), sets(5, 4, 1, torch.float32)
    whole = best_assignment(query, gallery)
    monkeypatch.setattr(assignment, "BLOCK", 24 * 4)  # four pairs at a time, the last block uneven
    assert torch.equal(best_assignment(query, gallery), whole)


def test_the_enumeration_and_the_solver_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = sets(7, 4, 0), sets(5, 4, 1)
    whole = best_assignment(query, gallery)
    monkeypatch.setattr(assignment, "MOST_ENUMERATED", 1)
    torch.testing.assert_close(best_assignment(query, gallery), whole)


@pytest.mark.parametrize("scale", [None, 16.0])
@pytest.mark.parametrize("elements", [1, 4, 6])
def test_the_gradient_is_that_of_the_assigned_cosines(elements: int, scale: float | None) -> None:
    query, gallery = sets(2, elements, 0).requires_grad_(), sets(3, elements, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: best_assignment(a, b, scale), (query, gallery))


@pytest.mark.parametrize("scale", [None, 16.0])
def test_the_top_pairs_are_the_largest_cosines_and_never_below_the_assignment(scale: float | None) -> None:
    query, gallery = sets(3, 4, 0), sets(5, 4, 1)
    expected = [[pooled(sorted((a @ b.T).flatten().tolist(), reverse=True)[:4], scale) for b in gallery] for a in query]
    scores = top_pairs(query, gallery, scale)
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))
    assert (scores >= best_assignment(query, gallery, scale) - 1e-12).all()


def test_the_mean_lies_between_no_match_and_the_freest_one() -> None:
    query, gallery = sets(6, 4, 0), sets(5, 4, 1)
    scores = best_assignment(query, gallery)
    assert (scores <= chamfer(query, gallery) + 1e-12).all()  # there elements may share their closest
    assert (scores <= max_similarity(query, gallery)).all()
    torch.testing.assert_close(best_assignment(query, query).diagonal(), torch.ones(6, dtype=torch.float64))
    torch.testing.assert_close(best_assignment(query, query.flip(1)).diagonal(), torch.ones(6, dtype=torch.float64))


def test_sets_of_different_sizes_are_an_error() -> None:
    for score in (best_assignment, top_pairs):
        with pytest.raises(ValueError, match="of 2 elements to 3"):
            score(sets(1, 2, 0), sets(1, 3, 1))
