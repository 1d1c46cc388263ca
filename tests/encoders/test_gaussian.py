from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.encoders.gaussian import UncertaintyBlock, UncertaintyBlocks

D, B = 6, 5


def blocks_by_hand(module: UncertaintyBlocks, row: list[float], noise: list[list[float]]) -> list[list[list[float]]]:
    """(n, 3, D) mean, log variance and sample of one feature, from the equations."""

    def linear(layer: torch.nn.Linear, values: list[float]) -> list[float]:
        pairs = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * x for w, x in zip(weights, values, strict=True)) + bias for weights, bias in pairs]

    blocks, state = [], row
    for block, drawn in zip(module.blocks, noise, strict=True):
        assert isinstance(block, UncertaintyBlock)
        centre = sum(state) / D
        deviation = math.sqrt(sum((x - centre) ** 2 for x in state) / D + block.norm.eps)
        normed = [(x - centre) / deviation for x in state]
        mean = linear(block.mean, normed)
        log = [min(max(x, -10.0), 5.0) for x in linear(block.log_variance, normed)]
        sample = [m + e * math.exp(v / 2) for m, e, v in zip(mean, drawn, log, strict=True)]
        blocks.append([mean, log, sample])
        if module.wiring == "chain":
            state = [x + z for x, z in zip(state, sample, strict=True)]
    return blocks


def given(blocks: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(B, D, generator=generator, dtype=torch.float64)
    return features, torch.randn(blocks, B, D, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("wiring", ["chain", "parallel"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_blocks_equal_their_equations(wiring: str, blocks: int) -> None:
    torch.manual_seed(0)
    module = UncertaintyBlocks(D, blocks, wiring).double()
    features, noise = given(blocks)
    actual = module(features, noise)
    for i in range(B):
        expected = blocks_by_hand(module, features[i].tolist(), noise[:, i].tolist())
        for b in range(blocks):
            parts = (actual.mean, actual.log_variance, actual.sample)
            for part, values in zip(parts, expected[b], strict=True):
                assert part[b, i].tolist() == pytest.approx(values, rel=1e-10)


def test_the_log_variance_starts_near_minus_four_and_is_clamped() -> None:
    torch.manual_seed(0)
    module = UncertaintyBlocks(D, 2)
    assert all((block.log_variance.bias == -4).all() for block in module.blocks)
    features = torch.randn(B, D)
    for bias, expected in ((-100.0, -10.0), (100.0, 5.0)):
        for block in module.blocks:
            torch.nn.init.constant_(block.log_variance.bias, bias)
        actual = module(features)
        assert (actual.log_variance == expected).all()
        assert torch.isfinite(actual.sample).all()


def test_noise_comes_from_the_caller_or_torch() -> None:
    torch.manual_seed(0)
    module, features, noise = UncertaintyBlocks(D, 2), torch.randn(B, D), torch.randn(2, B, D)
    assert torch.equal(module(features, noise).sample, module(features, noise).sample)
    assert not torch.equal(module(features).sample, module(features).sample)


def test_two_ranks_with_the_noise_of_their_samples_draw_what_one_process_draws() -> None:
    torch.manual_seed(0)
    module = UncertaintyBlocks(D, 2).double()
    features, noise = given(2)
    whole = module(features, noise)
    halves = [module(features[part], noise[:, part]) for part in (slice(0, 2), slice(2, None))]
    joined = torch.cat([half.parts for half in halves], 1)
    torch.testing.assert_close(joined, whole.parts, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.gathered(lambda rows: rows[:2]).parts, halves[0].parts, rtol=0, atol=1e-12)


def test_samples_have_the_mean_and_variance_they_say() -> None:
    torch.manual_seed(0)
    module = UncertaintyBlocks(D, 1)
    actual = module(torch.randn(1, D).expand(20_000, D))
    sigma = (actual.log_variance[0, 0] / 2).exp()
    torch.testing.assert_close(actual.sample[0].mean(0), actual.mean[0, 0], rtol=0, atol=0.005)
    torch.testing.assert_close(actual.sample[0].std(0), sigma, rtol=0.03, atol=0)


@pytest.mark.parametrize("wiring", ["chain", "parallel"])
def test_every_parameter_gets_a_gradient(wiring: str) -> None:
    torch.manual_seed(0)
    module = UncertaintyBlocks(D, 2, wiring)
    module(torch.randn(B, D)).sample.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())
    assert sum(parameter.numel() for parameter in module.parameters()) == 2 * (2 * D + 2 * (D * D + D))


def test_wiring_and_count_are_checked() -> None:
    with pytest.raises(ValueError, match="chain or parallel"):
        UncertaintyBlocks(D, 2, "tree")
    with pytest.raises(ValueError, match="at least 1"):
        UncertaintyBlocks(D, 0)
