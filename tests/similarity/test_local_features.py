"""Attention between padded local features; whole scores: tests/methods/cross_attention/test_scan.py."""

from __future__ import annotations

import pytest
import torch

from raytrain import similarity
from tests.encoders.local_features import attended, dot, locals_of, members, unit

TEXTS, IMAGES = [3, 1, 4], [2, 3]


def test_attended_cosines_are_those_of_the_vectors_that_are_never_made() -> None:
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    weights, cosines = similarity.attention(texts, images, 9.0)
    torch.testing.assert_close(cosines, torch.einsum("grd,qtd->grqt", images, texts))
    torch.testing.assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    actual = similarity.attended_cosine(weights, cosines, images)  # (G, Q, T)
    for i, words in enumerate(members(texts, TEXTS)):
        for j, regions in enumerate(members(images, IMAGES)):
            seen = attended(words, regions, 9.0)
            for t, (word, vector) in enumerate(zip(words, seen, strict=True)):
                assert actual[j, i, t].item() == pytest.approx(dot(word, unit(vector)), abs=1e-12)


def test_nothing_attended_to_has_cosine_zero_and_a_finite_gradient() -> None:
    texts, images = locals_of(TEXTS).requires_grad_(), locals_of(IMAGES, seed=1)
    weights, cosines = similarity.attention(texts, images, 9.0)
    nothing = similarity.attended_cosine(0 * weights, cosines, images)
    assert not nothing.any()
    nothing.sum().backward()
    assert texts.grad is not None and torch.isfinite(texts.grad).all()


def test_a_mean_is_over_real_members() -> None:
    values = torch.tensor([[[1.0, 2.0, torch.inf], [5.0, 7.0, 9.0]]])
    real = torch.tensor([[True, True, False], [True, True, True]])
    torch.testing.assert_close(similarity.mean_over(values, real), torch.tensor([[1.5, 7.0]]))


def test_an_item_of_zeros_has_one_real_row() -> None:
    local = torch.zeros(2, 3, 4)
    local[0, 1] = 1
    assert similarity.real_rows(local).tolist() == [[False, True, False], [True, False, False]]


def test_half_precision_is_widened() -> None:
    query, context = torch.zeros(1, 1, 1, dtype=torch.bfloat16), torch.zeros(1, 1, 1, dtype=torch.float16)
    assert {part.dtype for part in similarity.widened(query, context)} == {torch.float32}
    assert similarity.widened(query.double(), context)[1].dtype == torch.float64
