from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from raytrain.config import EncoderConfig, IMRAMConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.imram import IMRAM, AttentionMemory
from tests.encoders.local_features import Vectors, affine, attended, dot, locals_of, members, sigmoid, unit

TEXTS, IMAGES = [3, 1, 4, 2], [2, 3, 1]
INPUTS = Inputs(region_features=6, token_features=5, words=20)
FORMS: list[dict[str, Any]] = [
    {"steps": 1},
    {"steps": 3},
    {"direction": "i2t", "steps": 2, "attention_scale": 4.0},
    {"direction": "both", "steps": 2, "refined_norm": True},
]


def build(**changes: Any) -> IMRAM:
    torch.manual_seed(0)
    return IMRAM(EncoderConfig(dim=5), IMRAMConfig(**changes), INPUTS)


def refined(module: AttentionMemory, member: list[float], seen: list[float]) -> list[float]:
    """g x + (1 - g) tanh(Linear([x; a])), g = sigmoid(Linear([x; a])) (IMRAM, equations 6 to 8)."""
    assert module.gate is not None and module.update is not None
    gates = [sigmoid(x) for x in affine(module.gate, member + seen)]
    updates = [math.tanh(x) for x in affine(module.update, member + seen)]
    after = [g * x + (1 - g) * o for g, x, o in zip(gates, member, updates, strict=True)]
    return unit(after) if module.refined_norm else after


def oracle(module: AttentionMemory, query: Vectors, context: Vectors) -> float:
    """The score of one pair: over the steps, the mean cosine of the first members with what the refined attend to."""
    total, current = 0.0, query
    for step in range(module.steps):
        seen = attended(current, context, module.scale)
        total += sum(dot(first, unit(a)) for first, a in zip(query, seen, strict=True)) / len(query)
        if step + 1 < module.steps:
            current = [refined(module, x, a) for x, a in zip(current, seen, strict=True)]
    return total


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_the_equations(form: dict[str, Any]) -> None:
    method = build(**form).double()
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    actual = method.similarity(texts, images)
    assert actual.shape == (4, 3)
    for i, words in enumerate(members(texts, TEXTS)):
        for j, regions in enumerate(members(images, IMAGES)):
            expected = 0.0
            if method.words is not None:
                expected += oracle(method.words, words, regions)
            if method.regions is not None:
                expected += oracle(method.regions, regions, words)
            assert actual[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_one_step_is_scan_with_a_mean_and_has_no_parameters_of_its_own() -> None:
    names = {name.partition(".")[0] for name, _ in build(steps=1, direction="both").named_parameters()}
    assert names == {"image", "text"}
    assert {"words", "regions"} < {name.partition(".")[0] for name, _ in build(direction="both").named_parameters()}


def test_a_direction_alone_has_the_parameters_of_that_direction() -> None:
    assert build(direction="t2i").regions is None and build(direction="i2t").words is None
