from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from raytrain.encoders.composition import TIRG, Combiner, Fusion, Sum, composition

D = 4


def features(seed: int = 0, count: int = 3) -> tuple[Tensor, Tensor]:
    image, text = torch.randn(2, count, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return image, text


def made(kind: type[nn.Module], **options: object) -> nn.Module:
    torch.manual_seed(0)
    return kind(D, **options).double().eval()


def linear(layer: nn.Module, row: list[float]) -> list[float]:
    assert isinstance(layer, nn.Linear)
    pairs = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [sum(w * x for w, x in zip(weights, row, strict=True)) + bias for weights, bias in pairs]


def relu(row: list[float]) -> list[float]:
    return [max(0.0, x) for x in row]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("residual", [True, False])
def test_fusion_equals_its_equation(residual: bool) -> None:
    module = made(Fusion, residual=residual)
    image, text = features()
    first, last = module.mlp[0], module.mlp[3]
    for i, (a, b) in enumerate(zip(image.tolist(), text.tolist(), strict=True)):
        expected = linear(last, relu(linear(first, a + b)))
        if residual:
            expected = [h + x + y for h, x, y in zip(expected, a, b, strict=True)]
        assert module(image, text)[i].tolist() == pytest.approx(expected, rel=1e-12)


def test_combiner_equals_its_equations() -> None:
    module = made(Combiner)
    image, text = features()
    for i, (a, b) in enumerate(zip(image.tolist(), text.tolist(), strict=True)):
        both = relu(linear(module.text[0], b)) + relu(linear(module.image[0], a))
        weight = sigmoid(linear(module.weight[1], relu(linear(module.weight[0][0], both)))[0])
        mixed = linear(module.mixed[1], relu(linear(module.mixed[0][0], both)))
        expected = [m + weight * t + (1 - weight) * v for m, t, v in zip(mixed, b, a, strict=True)]
        assert module(image, text)[i].tolist() == pytest.approx(expected, rel=1e-12)


def test_combiner_has_the_published_size() -> None:
    """D = 640 of CLIP RN50x4: projections of 2,560, hidden layers of 5,120."""
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Combiner(640).parameters())
    projections = 2 * (640 * 2560 + 2560)
    hidden = 2 * (5120 * 5120 + 5120)
    assert count == projections + hidden + (5120 * 640 + 640) + (5120 + 1)


def test_tirg_equals_its_equations() -> None:
    module = made(TIRG)
    image, text = features()
    generator = torch.Generator().manual_seed(2)
    for norm in (module.gate[0], module.residual[0]):
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)

    def normed(layer: nn.BatchNorm1d, row: list[float]) -> list[float]:
        assert layer.running_mean is not None and layer.running_var is not None
        moments = zip(row, layer.running_mean.tolist(), layer.running_var.tolist(), strict=True)
        return [(x - mean) / math.sqrt(variance + layer.eps) for x, mean, variance in moments]

    for i, (a, b) in enumerate(zip(image.tolist(), text.tolist(), strict=True)):
        gate = [sigmoid(x) for x in linear(module.gate[2], relu(normed(module.gate[0], a + b)))]
        hidden = relu(linear(module.residual[2], relu(normed(module.residual[0], a + b))))
        change = linear(module.residual[4], hidden)
        expected = [1.0 * g * x + 10.0 * r for g, x, r in zip(gate, a, change, strict=True)]
        assert module(image, text)[i].tolist() == pytest.approx(expected, rel=1e-10)


def test_the_sum_is_the_sum_and_a_single_input_leaves_the_other_out() -> None:
    image, text = features()
    assert torch.equal(Sum()(image, text), image + text)
    assert torch.equal(composition("image", D)(image, text), image)
    assert torch.equal(composition("text", D)(image, text), text)


@pytest.mark.parametrize("kind", ["fusion", "combiner", "tirg"])
def test_every_parameter_gets_a_gradient_and_evaluation_is_deterministic(kind: str) -> None:
    torch.manual_seed(0)
    module = composition(kind, D)
    image, text = torch.randn(2, 8, D)
    module(image, text).square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    module.eval()
    assert torch.equal(module(image, text), module(image, text))
    assert not torch.allclose(module(image, text), module(image, text.roll(1, 0)))
    assert not torch.allclose(module(image, text), module(image.roll(1, 0), text))


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="fusion, combiner, tirg, sum, image and text"):
        composition("concat", D)
