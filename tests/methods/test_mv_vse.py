from __future__ import annotations

from typing import Any

import pytest
import torch

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, MVVSEConfig
from raytrain.encoders.regions import LinearViews, RegionViews
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import StepContext
from raytrain.methods.mv_vse import MVVSE
from tests.methods.baselines import ENCODER, INPUTS, WORDS, batch, check_alone, check_trains, named, switches


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> MVVSE:
    torch.manual_seed(0)
    return MVVSE(encoder, MVVSEConfig(**{"views": 3, **changes}), INPUTS)


def test_the_best_view_is_the_score() -> None:
    method, given = build().eval(), batch()
    query, gallery = method.encode_query(given).detach(), method.encode_gallery(given).detach()
    expected = [[max(float(text @ view) for view in views) for views in gallery] for text in query]
    torch.testing.assert_close(method.similarity(query, gallery), torch.tensor(expected))
    of_items = method.item_similarity(gallery[:2], gallery)
    torch.testing.assert_close(
        of_items, torch.stack([method.similarity(views, gallery).mean(0) for views in gallery[:2]])
    )


def test_the_loss_weighs_the_two_bounds() -> None:
    given, negatives = batch(), batch_negatives(batch()["image_id"], "masked")
    for epoch, form in ((0.5, "mean"), (1.0, "smooth")):
        method = build(mean_warmup_epochs=1, bounds="smooth", smooth_tau=0.1, upper_weight=0.3, margin=0.15)
        actual = method(given, StepContext(epoch, 4))
        by_view = similarity.view_similarity(method.encode_query(given), method.encode_gallery(given)).permute(2, 0, 1)
        upper, lower = losses.multi_view_bounds(by_view, negatives, 0.15, form, 0.1)
        torch.testing.assert_close(actual["loss"], 0.3 * upper + 0.7 * lower)
        torch.testing.assert_close(actual["upper_bound"], upper.detach())
        torch.testing.assert_close(actual["lower_bound"], lower.detach())


def test_the_published_views_are_linear_and_pooled_by_their_maximum() -> None:
    method, given = build().eval(), batch()
    assert isinstance(method.image, LinearViews)
    views = method.encode_gallery(given)
    real = given["regions"][1][given["region_mask"][1]]
    for k, layer in enumerate(method.image.views):
        expected = torch.nn.functional.normalize(layer(real).amax(0), dim=0)
        torch.testing.assert_close(views[1, k], expected)
    assert isinstance(build(view_layer="mlp", region_pooling="encoder").image, RegionViews)


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("change", switches(MVVSEConfig), ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(
    change: dict[str, Any], views: int, encoder: Any
) -> None:
    given = batch(encoder is WORDS)
    check_trains(build(encoder, views=views, **change), given, StepContext(1.5, 4))
    check_alone(build(encoder, views=views, **change), given)
