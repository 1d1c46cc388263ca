"""Measures of views on sets that are small enough to know the answer."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.config import DVSEConfig
from raytrain.studies.measures.views import (
    batch_weights,
    effective_rank_of,
    weight_accuracy_of,
    weight_variation_of,
)


def test_the_effective_rank_counts_directions() -> None:
    basis = torch.eye(4)[:3]
    same = basis[:1].expand(3, 4)
    two = torch.stack([basis[0], basis[0], basis[1]])
    ranks = effective_rank_of(torch.stack([basis, same, two]))
    assert ranks[:2].tolist() == pytest.approx([3.0, 1.0])
    share = math.sqrt(2) / (1 + math.sqrt(2))
    assert float(ranks[2]) == pytest.approx(math.exp(-share * math.log(share) - (1 - share) * math.log(1 - share)))


def pairs(count: int, views: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(count, views + 1, 16, generator=generator)
    return normalize(draws[:, 0], dim=-1), normalize(draws[:, 1:], dim=-1)


def test_a_weight_gets_steadier_with_the_batch() -> None:
    query, gallery = pairs(300)
    config = DVSEConfig(views=3)
    by_batch = [weight_variation_of(query, gallery, size, config) for size in (32, 64, 256)]
    assert by_batch[0] > 1.2 * by_batch[1] and by_batch[1] > 1.5 * by_batch[2] > 0
    assert weight_variation_of(query, gallery, 64, config) == by_batch[1]  # the draws are seeded


def test_weights_sum_to_one_and_fall_with_the_variance() -> None:
    query, gallery = pairs(40)
    low = batch_weights(query, gallery, DVSEConfig(views=3, weight_fn="inv"))
    high = batch_weights(query, gallery, DVSEConfig(views=3, weight_fn="var"))
    torch.testing.assert_close(low.sum(0), torch.ones(40))
    assert (low.argmax(0) == high.argmin(0)).all()
    # a run that is not weighted is measured by the weights that it would have had
    torch.testing.assert_close(batch_weights(query, gallery, DVSEConfig(views=3, weight_fn="none")), low)


@pytest.mark.parametrize(("weight_fn", "sign"), [("inv", 1), ("var", -1)])
def test_weights_that_know_the_right_view_correlate_with_right_answers(weight_fn: str, sign: int) -> None:
    """View 0 is the caption's own vector and has little variance among others; view 1 is noise of a large one."""
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(30).repeat_interleave(2)
    text = torch.eye(32)[:30]
    noise = 3 * torch.randn(30, 32, generator=generator)
    gallery = torch.stack([text, noise], 1)
    config = DVSEConfig.model_validate({"views": 2, "weight_fn": weight_fn})
    correlation = weight_accuracy_of(text[owner], gallery, owner, config)
    assert correlation is not None and sign * correlation > 0.5
