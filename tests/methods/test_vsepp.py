from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain import losses
from raytrain.config import EncoderConfig, VSEPPConfig
from raytrain.errors import UsageError
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.vsepp import VSEPP
from tests.methods.baselines import ENCODER, INPUTS, WORDS, batch, check_alone, check_trains, named, switches


def build(encoder: EncoderConfig = ENCODER, inputs: Inputs = INPUTS, **changes: Any) -> VSEPP:
    torch.manual_seed(0)
    return VSEPP(encoder, VSEPPConfig(**changes), inputs)


@pytest.mark.parametrize("image", ["mean", "global"])
def test_an_image_is_a_linear_layer_over_one_feature_of_unit_length(image: Any) -> None:
    method, given = build(image=image), batch()
    actual = method.encode_gallery(given)
    for row in range(len(actual)):
        regions = given["regions"][row]
        # the fourth region is masked, and is the global one
        feature = regions[3] if image == "global" else (regions[0] + regions[1] + regions[2]) / 3
        torch.testing.assert_close(actual[row], normalize(method.image(feature / feature.norm()), dim=0))


def test_the_loss_is_the_sum_of_the_hardest_hinges_or_of_all() -> None:
    negatives = batch_negatives(batch()["image_id"], "masked")
    for changes, epoch, hardest in (
        ({}, 0.0, True),
        ({"mining": "sum"}, 5.0, False),
        ({"mean_warmup_epochs": 1.0}, 0.5, False),
        ({"mean_warmup_epochs": 1.0}, 1.0, True),
    ):
        method = build(**changes)
        scores = method.encode_query(batch()) @ method.encode_gallery(batch()).T
        actual = method(batch(), StepContext(epoch, 5))
        torch.testing.assert_close(actual["loss"], losses.triplet_loss(scores, negatives, 0.2, hardest))


def test_order_embeddings_are_absolute_values_and_captions_the_smaller_ones() -> None:
    method = build(order=True)
    query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
    assert (query >= 0).all() and (gallery >= 0).all()
    scores = method.similarity(query, gallery)
    assert scores[2, 3].item() == pytest.approx(-(query[2] - gallery[3]).clamp(min=0).norm().item(), rel=1e-5)
    assert method.similarity(0.5 * gallery, gallery).diagonal().tolist() == [0.0] * 6


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("change", switches(VSEPPConfig), ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], encoder: Any) -> None:
    words = encoder is WORDS
    check_trains(build(encoder, **change), batch(words), StepContext(1.5, 4))
    check_alone(build(encoder, **change), batch(words))


def test_a_collapse_is_seen() -> None:
    method = build()
    assert method(batch(), StepContext(2, 4))["collapsed"] == 0
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
        method.image.bias.fill_(1.0)
    assert method(batch(), StepContext(2, 4))["collapsed"] == 1
    assert build(mining="sum")(batch(), StepContext(2, 4))["collapsed"] == 0


def test_features_without_a_global_region_refuse_to_give_one() -> None:
    with pytest.raises(UsageError, match=r"method\.image=mean"):
        build(inputs=Inputs(region_features=6, token_features=5), image="global")
