"""VSE-infinity: embeddings of its two branches, cosines, the warm-up, and every switch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain import losses
from raytrain.config import EncoderConfig, VSEInfinityConfig
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import StepContext
from raytrain.methods.vse_infinity import VSEInfinity
from tests.methods.baselines import ENCODER, INPUTS, WORDS, batch, check_alone, check_trains, named, switches


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> VSEInfinity:
    torch.manual_seed(0)
    return VSEInfinity(encoder, VSEInfinityConfig(**changes), INPUTS)


def test_images_and_captions_are_pooled_and_compared_by_their_cosine() -> None:
    method, given = build().eval(), batch()
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    for row, length in ((0, 5), (1, 3)):
        tokens = method.text.linear(given["text"][row, :length])  # type: ignore[union-attr]
        pooled = method.text.pool(tokens[None], torch.ones(1, length, dtype=torch.bool))[0]
        torch.testing.assert_close(query[row], normalize(pooled, dim=0))
        regions = given["regions"][row, :3]
        local = method.image.base(regions) + method.image.mlps[0](regions)
        pooled = method.image.pools[0](local[None], torch.ones(1, 3, dtype=torch.bool))[0]
        torch.testing.assert_close(gallery[row], normalize(pooled, dim=0))
    scores = method.similarity(query, gallery)
    for i in range(6):
        for j in range(6):
            expected = sum(a * b for a, b in zip(query[i].tolist(), gallery[j].tolist(), strict=True))
            assert scores[i, j].item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_is_the_triplet_loss_of_the_scores() -> None:
    negatives = batch_negatives(batch()["image_id"], "masked")
    for epoch, hardest in ((0.5, False), (1.0, True)):
        method = build(mean_warmup_epochs=1)
        scores = method.similarity(method.encode_query(batch()), method.encode_gallery(batch()))
        expected = losses.triplet_loss(scores, negatives, 0.2, hardest)
        torch.testing.assert_close(method(batch(), StepContext(epoch, 4))["loss"], expected)


@pytest.mark.parametrize("pooling", ["gpo", "mean", "max"])
@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("change", switches(VSEInfinityConfig), ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(
    change: dict[str, Any], encoder: EncoderConfig, pooling: Any
) -> None:
    config = EncoderConfig(dim=8, gpo_dim=4, pooling=pooling, text=encoder.text)
    check_trains(build(config, **change), batch(encoder is WORDS), StepContext(1.5, 4))
    check_alone(build(config, **change), batch(encoder is WORDS))
