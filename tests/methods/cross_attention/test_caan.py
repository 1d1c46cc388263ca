from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from raytrain.config import CAANConfig, EncoderConfig
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention.caan import CAAN, ContextWeights
from tests.encoders.local_features import Vectors, affine, dot, locals_of, members, unit

TEXTS, IMAGES = [3, 1, 4, 2], [2, 3, 1]
INPUTS = Inputs(region_features=6, token_features=5, words=20)


def build(**changes: Any) -> CAAN:
    torch.manual_seed(0)
    method = CAAN(EncoderConfig(dim=5), CAANConfig(**{"hidden_dim": 6, **changes}), INPUTS)
    with torch.no_grad():
        method.affinity.add_(0.3 * torch.randn(5, 5))  # no longer the identity it begins as
    return method


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def mixed(weights: list[float], vectors: Vectors) -> list[float]:
    return [sum(w * v[d] for w, v in zip(weights, vectors, strict=True)) for d in range(len(vectors[0]))]


def product(layer: torch.nn.Linear, x: list[float]) -> list[float]:
    return [dot(row, x) for row in layer.weight.tolist()]


def pooled(module: ContextWeights, own: Vectors, others: Vectors, responses: Vectors) -> list[float]:
    """The members of an item, weighted in the context of another (reading caan-r1)."""
    logits = []
    for member, response in zip(own, responses, strict=True):
        hidden = affine(module.own, member)
        if module.cross is not None:
            seen = mixed(response, [product(module.cross, other) for other in others])
            hidden = [x + y for x, y in zip(hidden, seen, strict=True)]
        if module.intra is not None:
            alike = [dot(response, other) for other in responses]
            seen = mixed([a / sum(alike) for a in alike], [product(module.intra, other) for other in own])
            hidden = [x + y for x, y in zip(hidden, seen, strict=True)]
        logits += product(module.score, [math.tanh(x) for x in hidden])
    return mixed(softmax(logits), own)


def oracle(method: CAAN, caption: Vectors, image: Vectors) -> float:
    scale, affinity = method.config.attention_scale, method.affinity.tolist()
    table = [[scale * dot(mixed(region, affinity), word) for word in caption] for region in image]
    by_region = [softmax(row) for row in table]
    by_word = [softmax([row[t] for row in table]) for t in range(len(caption))]
    left = pooled(method.regions, image, caption, by_region)
    right = pooled(method.words, caption, image, by_word)
    return dot(unit(left), unit(right))


@pytest.mark.parametrize("context", ["both", "cross", "intra"])
def test_scores_are_those_of_the_reading(context: str) -> None:
    method = build(context=context, attention_scale=3.0).double()
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    actual = method.similarity(texts, images)
    expected = [[oracle(method, c, i) for i in members(images, IMAGES)] for c in members(texts, TEXTS)]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_what_a_context_leaves_out_has_no_parameters() -> None:
    names = {name for name, _ in build(context="cross").named_parameters()}
    assert "words.cross.weight" in names and not any(".intra." in name for name in names)
    assert not any(".cross." in name for name, _ in build(context="intra").named_parameters())


def test_affinity_begins_as_cosines() -> None:
    torch.manual_seed(0)
    fresh = CAAN(EncoderConfig(dim=5), CAANConfig(), INPUTS)
    torch.testing.assert_close(fresh.affinity.detach(), torch.eye(5))
