"""Our reading of AsymVLM: the loss by hand, and concentrations that say how certain a caption is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.config import AsymVLMConfig, EncoderConfig
from raytrain.errors import UsageError
from raytrain.losses import power_spherical, von_mises_fisher
from raytrain.methods.asymvlm import AsymVLM
from raytrain.methods.base import Inputs, StepContext
from tests.methods.baselines import ENCODER, INPUTS, WORDS, B, batch, check_alone, check_trains, named, switches

ONE_SPACE = Inputs(region_features=6, token_features=6)
DENSITIES = {"power_spherical": power_spherical, "von_mises_fisher": von_mises_fisher}


def build(encoder: EncoderConfig = ENCODER, inputs: Inputs = INPUTS, **changes: Any) -> AsymVLM:
    torch.manual_seed(0)
    return AsymVLM(encoder, AsymVLMConfig(**{"hidden": 4, **changes}), inputs)


def spread_out(method: AsymVLM) -> AsymVLM:
    """With a head whose concentrations differ between captions."""
    torch.nn.init.normal_(method.head[2].weight, generator=torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    return method.eval()


@pytest.mark.parametrize("same_image", ["masked", "negative"])
@pytest.mark.parametrize("density", list(DENSITIES))
def test_the_loss_is_both_softmaxes_of_the_log_density_and_the_own_pairs(density: str, same_image: str) -> None:
    method = spread_out(build(density=density, same_image=same_image, likelihood_weight=0.5, concentration_start=3.0))
    given = batch()
    actual = method(given, StepContext())
    with torch.no_grad():
        direction, image, uncertainty = (
            encode(given) for encode in (method.encode_query, method.encode_gallery, method.uncertainty)
        )
    assert direction is not None and image is not None and uncertainty is not None
    concentration = 1 / uncertainty
    logs = [
        [float(DENSITIES[density](direction[c] @ image[i], concentration[c], 8)) for i in range(B)] for c in range(B)
    ]
    ids = given["image_id"].tolist()

    def counts(c: int, i: int) -> bool:
        return c == i or same_image == "negative" or ids[c] != ids[i]

    total = 0.0
    for own in range(B):
        row = sum(math.exp(logs[own][i]) for i in range(B) if counts(own, i))
        column = sum(math.exp(logs[c][own]) for c in range(B) if counts(c, own))
        total += (math.log(row) + math.log(column)) / 2 - logs[own][own]
    likelihood = -sum(logs[k][k] for k in range(B)) / B / 8
    assert actual["match"].item() == pytest.approx(total / B, rel=1e-4)
    assert actual["likelihood"].item() == pytest.approx(likelihood, rel=1e-4)
    assert actual["loss"].item() == pytest.approx(total / B + 0.5 * likelihood, rel=1e-4)
    assert concentration.std() > 0.01


def test_every_caption_begins_at_the_configured_concentration() -> None:
    for start in (0.5, 20.0):
        uncertainty = build(concentration_start=start).uncertainty(batch())
        torch.testing.assert_close(uncertainty, torch.full((B,), 1 / start))


def test_the_mean_direction_ranks_whatever_the_concentration() -> None:
    method, other = build(), spread_out(build())
    given = batch()
    scores = [each.eval().similarity(each.encode_query(given), each.encode_gallery(given)) for each in (method, other)]
    assert torch.equal(*scores) and float(scores[0].abs().max()) <= 1 + 1e-6


def test_frozen_embeddings_of_one_space_stay_and_the_head_alone_learns() -> None:
    method = build(inputs=ONE_SPACE, space="frozen")
    assert {name.partition(".")[0] for name, _ in method.named_parameters()} == {"head"}
    given = batch() | {"text": torch.randn(B, 5, 6, generator=torch.Generator().manual_seed(2))}
    words = torch.stack([row[real].mean(0) for row, real in zip(given["text"], given["text_mask"], strict=True)])
    torch.testing.assert_close(method.encode_query(given), normalize(words, dim=-1))
    torch.testing.assert_close(method.encode_gallery(given), normalize(given["regions"][:, :3].mean(1), dim=-1))
    check_trains(spread_out(method).train(), given, StepContext())
    with pytest.raises(UsageError, match="images have 6 and token states 5"):
        build(space="frozen")


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("change", [c for c in switches(AsymVLMConfig) if c.get("space") != "frozen"], ids=named)
def test_every_switch_trains(change: dict[str, Any], encoder: EncoderConfig) -> None:
    method, given = build(encoder, **change), batch(words=encoder is WORDS)
    check_trains(method, given, StepContext())
    check_alone(method, given)
