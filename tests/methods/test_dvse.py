from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from raytrain.config import DVSEConfig, EncoderConfig, VSEInfinityConfig
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.dvse import DVSE
from raytrain.methods.vse_infinity import VSEInfinity

ENCODER = EncoderConfig(dim=8, gpo_dim=4)
INPUTS = Inputs(region_features=6, token_features=5)


def batch(seed: int = 0, same_image: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "regions": torch.randn(6, 4, 6, generator=generator),
        "region_mask": torch.tensor([[True, True, True, False]] * 6),
        "text": torch.randn(6, 5, 5, generator=generator),
        "text_mask": torch.tensor([[True] * 5, [True, True, True, False, False]] * 3),
        "image_id": torch.tensor([0, 0, 1, 2, 3, 4]) if same_image else torch.arange(6),
    }


def build(method: type, config: Any) -> Any:
    torch.manual_seed(0)
    return method(ENCODER, config, INPUTS)


@pytest.mark.parametrize("loss", ["triplet", "infonce", "both"])
@pytest.mark.parametrize("epoch", [0.0, 2.0])
def test_one_view_without_extra_losses_is_vse_infinity(epoch: float, loss: Any) -> None:
    dvse = build(DVSE, DVSEConfig(views=1, orth_weight=0, loss=loss))
    vse = build(VSEInfinity, VSEInfinityConfig(loss=loss))
    assert {n: p.shape for n, p in dvse.named_parameters()} == {n: p.shape for n, p in vse.named_parameters()}
    context = StepContext(epoch=epoch, num_epochs=5)
    for method in (dvse, vse):
        method(batch(same_image=True), context)["loss"].backward()
    torch.testing.assert_close(dvse(batch(), context)["loss"], vse(batch(), context)["loss"])
    for (name, a), b in zip(dvse.named_parameters(), vse.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    query, gallery = vse.encode_query(batch()), vse.encode_gallery(batch())
    torch.testing.assert_close(
        dvse.similarity(dvse.encode_query(batch()), dvse.encode_gallery(batch())), vse.similarity(query, gallery)
    )


def switches() -> list[dict[str, Any]]:
    """Every choice of every named switch, one at a time."""
    changes: list[dict[str, Any]] = []
    for name, field in DVSEConfig.model_fields.items():
        for choice in get_args(field.annotation):
            if name != "kind" and isinstance(choice, str):
                changes.append({name: choice} | ({"fused_weight": 1.0} if choice == "learned" else {}))
    return [*changes, {"weight_gradient": True}, {"fused_weight": 1.0}, {"orth_weight": 0.0}]


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("change", switches(), ids=lambda change: "-".join(f"{k}={v}" for k, v in change.items()))
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], views: int) -> None:
    method = build(DVSE, DVSEConfig(views=views, **change))
    losses = method(batch(same_image=True), StepContext(1.5, 4))
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_constraint_is_dynamic() -> None:
    def orth_share(schedule: str, epoch: float) -> float:
        method = build(DVSE, DVSEConfig(views=3, orth_schedule=schedule, orth_weight=1.0))  # type: ignore[arg-type]
        losses = method(batch(), StepContext(epoch, 4))
        return float((losses["loss"].detach() - losses["view_triplet"]) / losses["orthogonality"])

    assert orth_share("constant", 2) == pytest.approx(1, rel=1e-4)
    assert orth_share("ramp_up", 1) == pytest.approx(0.25, rel=1e-4)
    assert orth_share("decay", 1) == pytest.approx(0.75, rel=1e-4)
    method = build(DVSE, DVSEConfig(views=3))
    assert orth_share("adaptive", 2) == pytest.approx(
        float(method(batch(), StepContext(2, 4))["view_overlap"]), rel=1e-3
    )


def test_per_view_pooling_adds_aggregators() -> None:
    shared = build(DVSE, DVSEConfig(views=3))
    apart = build(DVSE, DVSEConfig(views=3, view_pooling="per_view"))
    assert len(shared.image.pools) == 1
    assert len(apart.image.pools) == 3
