"""What the tests of the image-text baselines share: a small batch, its sizes, and every choice of a config."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from raytrain.config import BiGRUText, EncoderConfig, MethodPart
from raytrain.methods.base import Inputs, Method, StepContext

B = 6
ENCODER = EncoderConfig(dim=8, gpo_dim=4)
WORDS = EncoderConfig(dim=8, gpo_dim=4, text=BiGRUText(word_dim=6))
INPUTS = Inputs(region_features=6, token_features=5, words=20, global_region=3)


def batch(words: bool = False, same_image: bool = True, noise: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """Six pairs of five images, or of six; padded regions and captions."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(B, 5, 5, generator=generator)
    given = {
        "regions": torch.randn(B, 4, 6, generator=generator),
        "region_mask": torch.tensor([[True, True, True, False]] * B),
        "text": torch.randint(20, (B, 5), generator=generator) if words else states,
        "text_mask": torch.tensor([[True] * 5, [True, True, True, False, False]] * (B // 2)),
        "image_id": torch.tensor([0, 0, 1, 2, 3, 4]) if same_image else torch.arange(B),
    }
    return given | ({"noise": torch.randn(B, *noise, generator=generator)} if noise else {})


def switches(config: type[MethodPart]) -> list[dict[str, Any]]:
    """Every choice of every named switch, one at a time."""
    changes: list[dict[str, Any]] = [{}]
    for name, field in config.model_fields.items():
        choices = [False, True] if field.annotation is bool else get_args(field.annotation)
        changes += [{name: choice} for choice in choices if name != "kind"]
    return changes


def named(change: dict[str, Any]) -> str:
    return "-".join(f"{k}={v}" for k, v in change.items()) or "defaults"


def check_trains(method: Method, given: dict[str, Tensor], context: StepContext) -> None:
    """A finite loss, and a finite gradient of every parameter."""
    losses = method(given, context)
    losses["loss"].backward()
    assert all(torch.isfinite(value).all() and value.shape == () for value in losses.values())
    assert not any(value.requires_grad for name, value in losses.items() if name != "loss")
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def check_alone(method: Method, given: dict[str, Tensor]) -> None:
    """What is searched is the same each time, and for an item alone as in its batch."""
    method.eval()
    alone = {key: value[1:2] for key, value in given.items()}
    for encode in (method.encode_query, method.encode_gallery):
        with torch.no_grad():
            whole = encode(given)
            assert torch.equal(whole, encode(given))
            torch.testing.assert_close(encode(alone), whole[1:2])
