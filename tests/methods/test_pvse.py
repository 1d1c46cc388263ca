from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, PVSEConfig
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import StepContext
from raytrain.methods.pvse import PVSE
from tests.methods.baselines import ENCODER, INPUTS, WORDS, B, batch, check_alone, check_trains, named, switches


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> PVSE:
    torch.manual_seed(0)
    return PVSE(encoder, PVSEConfig(**{"views": 3, **changes}), INPUTS)


def test_the_loss_is_the_sum_of_its_published_parts() -> None:
    method, given = build(mean_warmup_epochs=1), batch()
    query, text_residuals = method.text(given["text"], given["text_mask"])
    gallery, image_residuals = method.image(given["regions"], given["region_mask"])
    scores = method.similarity(query, gallery)
    torch.testing.assert_close(scores, similarity.max_similarity(query, gallery))
    negatives = batch_negatives(given["image_id"], "masked")
    rest = 0.01 * losses.discrepancy_loss(gallery.flatten(0, 1), query.flatten(0, 1))
    for part in (text_residuals, image_residuals):
        gram = normalize(part, dim=-1) @ normalize(part, dim=-1).transpose(1, 2)
        apart = gram * (1 - torch.eye(3))
        rest = rest + 0.1 * sum(torch.linalg.matrix_norm(gram_of_item) / 9 for gram_of_item in apart) / B
    for epoch, hardest in ((0.5, False), (1.0, True)):
        actual = method(given, StepContext(epoch, 4))
        triplet = losses.mean_triplet(scores, negatives, 0.1, hardest)
        torch.testing.assert_close(actual["triplet"], triplet)
        torch.testing.assert_close(actual["loss"], triplet + rest)


def test_one_embedding_has_the_triplet_alone() -> None:
    actual = build(views=1)(batch(), StepContext(1, 4))
    assert set(actual) == {"loss", "triplet", "collapsed"}
    torch.testing.assert_close(actual["loss"], actual["triplet"])


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("change", [*switches(PVSEConfig), {"dropout": 0.5}], ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(
    change: dict[str, Any], views: int, encoder: Any
) -> None:
    given = batch(encoder is WORDS)
    check_trains(build(encoder, views=views, **change), given, StepContext(1.5, 4))
    check_alone(build(encoder, views=views, **change), given)
