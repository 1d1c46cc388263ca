"""Measures of views on embeddings that are small enough to know the answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.config import DVSEConfig
from raytrain.scoring.view_weights import weight_measures
from raytrain.studies.measures.views import effective_rank, weight_accuracy, weight_variation


def run_of(query: Tensor, gallery: Tensor, owner: Tensor, batch_size: int = 128, **method: Any) -> Any:
    """A run that embeds so, on both splits."""
    return SimpleNamespace(
        embedded=(query, gallery),
        embedded_pairs=lambda which, most: (query[:most], gallery[owner[:most]]),
        similarity=(None, owner),
        config=SimpleNamespace(method=DVSEConfig.model_validate({"views": gallery.shape[1], **method})),
        record=SimpleNamespace(config={"optim.batch_size": batch_size}),
    )


def pairs(count: int, views: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.randn(count, views + 1, 16, generator=torch.Generator().manual_seed(0))
    return normalize(draws[:, 0], dim=-1), normalize(draws[:, 1:], dim=-1), torch.arange(count)


def test_the_effective_rank_counts_directions() -> None:
    basis = torch.eye(4)[:3]
    gallery = torch.stack([basis, basis[:1].expand(3, 4)])
    assert effective_rank(run_of(basis[:2], gallery, torch.arange(2))) == pytest.approx(2.0)


@pytest.mark.parametrize("weight_fn", ["inv", "entropy_low"])
def test_a_weight_of_variance_or_entropy_gets_steadier_with_the_batch(weight_fn: str) -> None:
    by_batch = [weight_variation(run_of(*pairs(256), size, weight_fn=weight_fn)) for size in (16, 128)]
    assert by_batch[0] is not None and by_batch[1] is not None and by_batch[0] > 1.2 * by_batch[1] > 0


@pytest.mark.parametrize(("weight_fn", "sign"), [("inv", 1), ("var", -1), ("entropy_high", 1), ("entropy_low", -1)])
def test_weights_that_know_the_right_view_correlate_with_right_answers(weight_fn: str, sign: int) -> None:
    """View 0 is the caption's own vector and has little variance among others; view 1 is noise of a large one."""
    owner, text = torch.arange(30).repeat_interleave(2), torch.eye(32)[:30]
    noise = 3 * torch.randn(30, 32, generator=torch.Generator().manual_seed(0))
    query, gallery = text[owner], torch.stack([text, noise], 1)
    run = run_of(query, gallery, owner, weight_fn=weight_fn)
    accuracy = weight_accuracy(run)
    assert accuracy is not None and sign * accuracy > 0.5
    assert accuracy == weight_measures(query, gallery, owner, run.config.method).correlation  # as with --diagnostics


def test_one_view_and_too_few_images_have_no_weights_to_measure() -> None:
    for query, gallery, owner in (pairs(40, views=1), pairs(5)):
        assert weight_variation(run_of(query, gallery, owner)) is None
        assert weight_accuracy(run_of(query, gallery, owner)) is None
