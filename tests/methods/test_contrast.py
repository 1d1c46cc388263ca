"""The choice of the loss of pairs, in each method that has it, and the temperature that InfoNCE learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain import losses
from raytrain.config import (
    ContrastivePart,
    DivEConfig,
    DVSEConfig,
    EncoderConfig,
    PCMEPPConfig,
    PVSEConfig,
    VSEInfinityConfig,
)
from raytrain.losses.triplet import batch_negatives, batch_positives
from raytrain.methods import METHODS
from raytrain.methods.base import Method, StepContext
from raytrain.methods.contrast import Contrast, Temperature
from tests.methods.baselines import ENCODER, INPUTS, batch, check_trains

CONFIGS: dict[str, Any] = {
    "vse_infinity": VSEInfinityConfig,
    "dvse": DVSEConfig,
    "dive": DivEConfig,
    "pvse": PVSEConfig,
}
MLPS = EncoderConfig(
    dim=8,
    pooling="mean",
    image_head="mlp",
    text_head="mlp",
    head_hidden=5,
    head_activation="gelu",
    text_pool_first=True,
)
HARDEST = StepContext(4.0, 5)


def build(kind: str, encoder: EncoderConfig = ENCODER, **changes: Any) -> Method:
    torch.manual_seed(0)
    config = PCMEPPConfig(**changes) if kind == "pcmepp" else CONFIGS[kind](**changes)
    return METHODS[kind](encoder, config, INPUTS).eval()


def scores_of(method: Method) -> Tensor:
    return method.similarity(method.encode_query(batch()), method.encode_gallery(batch()))


@pytest.mark.parametrize(("loss", "parts"), [("triplet", ["triplet"]), ("infonce", ["infonce", "temperature"]),
                                             ("both", ["triplet", "infonce", "temperature"])])  # fmt: skip
def test_both_is_the_mean_triplet_and_weighted_info_nce(loss: Any, parts: list[str]) -> None:
    contrast = Contrast(ContrastivePart(loss=loss, infonce_weight=0.5, temperature=0.1))
    total, logged = contrast(lambda: torch.tensor(12.0), lambda scale: scale * torch.tensor(0.3), 4)
    expected = {"triplet": 12.0, "infonce": 3.0, "both": 12 / 4 + 0.5 * 3}[loss]
    assert total.item() == pytest.approx(expected, rel=1e-6)
    assert sorted(logged) == sorted(parts)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_info_nce_of_a_method_is_that_of_its_scores(kind: str) -> None:
    method = build(kind, loss="infonce", temperature=0.2)
    if kind == "dvse":  # of each view, weighted: with equal weights the mean over the views
        method = build(kind, loss="infonce", temperature=0.2, weight_fn="none", orth_weight=0)
        query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
        scores = (query[:, None, None] * gallery).sum(-1).unbind(-1)
    else:
        scores = (scores_of(method),)
    negatives = batch_negatives(batch()["image_id"], "masked")
    by_view = [losses.info_nce(view, 5.0, symmetric=True, ignored=~negatives) for view in scores]
    if kind == "dive":
        item = batch()["image_id"]
        by_view = [losses.set_info_nce(scores[0], item[:, None] == item[None], 5.0)]
    parts = method(batch(), HARDEST)
    name = "view_infonce" if kind == "dvse" else "infonce"
    torch.testing.assert_close(parts[name], torch.stack(by_view).mean())
    assert parts["temperature"].item() == pytest.approx(0.2)
    if kind in ("vse_infinity", "dvse"):
        torch.testing.assert_close(parts["loss"].detach(), parts[name])


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_pcmepp_adds_info_nce_of_half_its_score(weight: float) -> None:
    published = build("pcmepp")(batch(), HARDEST)
    method = build("pcmepp", infonce_weight=weight, temperature=0.2)
    parts = method(batch(), HARDEST)
    if not weight:
        assert parts.keys() == published.keys()
        assert torch.equal(parts["loss"], published["loss"])
        return
    matched = batch_positives(batch()["image_id"], "image")
    nce = losses.info_nce(scores_of(method) / 2, 5.0, symmetric=True, ignored=matched)
    torch.testing.assert_close(parts["infonce"], nce.detach())
    torch.testing.assert_close(parts["loss"], published["loss"] + weight * nce)


@pytest.mark.parametrize("kind", [*sorted(CONFIGS), "pcmepp"])
def test_heads_and_loss_train_every_parameter(kind: str) -> None:
    changes = {"infonce_weight": 1.0} if kind == "pcmepp" else {"loss": "both"}
    check_trains(build(kind, MLPS, **changes).train(), batch(), HARDEST)


@pytest.mark.parametrize("kind", [*sorted(CONFIGS), "pcmepp"])
def test_published_settings_have_no_temperature(kind: str) -> None:
    assert not [name for name, _ in build(kind).named_parameters() if "temperature" in name]


def test_a_temperature_is_learned_as_its_logarithm_and_bounded() -> None:
    learned = Temperature(ContrastivePart(temperature=0.05, temperature_min=0.02))
    assert float(torch.as_tensor(learned.scale()).detach()) == pytest.approx(20)
    assert learned.log is not None
    with torch.no_grad():
        learned.log.fill_(math.log(0.01))
    scale = learned.scale()
    assert isinstance(scale, Tensor)
    assert scale.item() == pytest.approx(50)
    scale.backward()  # type: ignore[no-untyped-call]
    assert learned.log.grad is not None and learned.log.grad < 0  # it can come back
    assert learned.parts()["temperature"].item() == pytest.approx(0.02)
    fixed = Temperature(ContrastivePart(temperature=0.05, temperature_learned=False))
    assert fixed.scale() == 20 and fixed.parts() == {} and not list(fixed.parameters())


def test_a_temperature_below_its_own_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="below temperature_min"):
        VSEInfinityConfig(temperature=0.001)
    VSEInfinityConfig(temperature=0.001, temperature_learned=False)
