"""DivE's set prediction against loops over slots, heads and inputs; masks, codes of positions, sampled slots."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raytrain.encoders.set_prediction import SetPrediction, SlotBlock, place_codes


def millions(module: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 2)


def test_parameter_counts_at_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        assert millions(SetPrediction(1024, 1024)) == 16.80
        assert millions(SetPrediction(300, 1024, positions=True)) == 13.83


def norm(layer: nn.LayerNorm, row: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + layer.eps)
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [(x - mean) / spread * w + b for x, w, b in zip(row, weight, bias, strict=True)]


def linear(layer: nn.Linear, row: list[float]) -> list[float]:
    bias = [0.0] * layer.out_features if layer.bias is None else layer.bias.tolist()
    return [
        sum(w * x for w, x in zip(ws, row, strict=True)) + b for ws, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def block_by_hand(
    block: SlotBlock, slots: list[list[float]], inputs: list[list[float]], codes: list[list[float]], real: list[bool]
) -> list[list[float]]:
    """One item through one block, a slot, a head and an input at a time."""
    queries = [linear(block.query, norm(block.norm_slots, s)) for s in slots]
    normed = [norm(block.norm_inputs, u) for u in inputs]
    keys = [linear(block.key, [a + b for a, b in zip(u, c, strict=True)]) for u, c in zip(normed, codes, strict=True)]
    values = [linear(block.value, u) for u in normed]
    width = len(queries[0]) // block.heads
    attended_rows: list[list[float]] = [[] for _ in slots]
    for h in range(block.heads):
        part = slice(h * width, (h + 1) * width)
        logits = [
            [sum(a * b for a, b in zip(q[part], k[part], strict=True)) / math.sqrt(width) for k in keys]
            for q in queries
        ]
        weights = [[0.0] * len(keys) for _ in slots]
        for n in range(len(keys)):
            if block.attention == "transformer":
                for k, row in enumerate(logits):
                    total = sum(math.exp(x) for x, is_real in zip(row, real, strict=True) if is_real)
                    weights[k][n] = math.exp(row[n]) / total if real[n] else 0.0
            else:
                total = sum(math.exp(row[n]) for row in logits)
                for k, row in enumerate(logits):
                    padded = 1 / len(slots) if block.mask_mode == "official" else 0.0
                    weights[k][n] = math.exp(row[n]) / total if real[n] else padded
        for k, row in enumerate(weights):
            over = 1.0 if block.attention == "transformer" else sum(row) + 1e-7
            for d in range(width):
                attended_rows[k].append(sum(w / over * v[part][d] for w, v in zip(row, values, strict=True)))
    out: list[list[float]] = []
    for slot, attended in zip(slots, attended_rows, strict=True):
        middle = [a + b for a, b in zip(slot, linear(block.out[0], attended), strict=True)]  # type: ignore[arg-type]
        hidden = linear(block.mlp[1], norm(block.mlp[0], middle))  # type: ignore[arg-type]
        gelu = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in hidden]
        out.append([a + b for a, b in zip(middle, linear(block.mlp[4], gelu), strict=True)])  # type: ignore[arg-type]
    return out


KINDS: list[dict[str, Any]] = [
    {},
    {"shared": False},
    {"mask_mode": "official"},
    {"attention": "transformer"},
    {"positions": True},
    {"slots": "sampled"},
]


def small(features: int = 6, dim: int = 4, **changes: Any) -> SetPrediction:
    torch.manual_seed(0)
    return SetPrediction(features, dim, **{"elements": 3, "iterations": 2, "heads": 2, "head_dim": 3, **changes})


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    local = torch.randn(2, 4, 6, generator=generator, dtype=dtype)
    mask = torch.tensor([[True, True, True, True], [True, True, True, False]])
    return local, mask, torch.randn(2, 4, generator=generator, dtype=dtype)


@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_the_module_equals_loops_over_slots_heads_and_inputs(changes: dict[str, Any]) -> None:
    module = small(**changes).double().eval()
    local, mask, whole = inputs()
    embeddings, residual = module(local, mask, whole)
    start = module.slots + (module.fixed_noise if module.sampled else 0)  # sigma starts at one
    for item in range(2):
        slots, real = start[0].tolist(), mask[item].tolist()
        codes = place_codes(mask, 6)[item].tolist() if module.positions else [[0.0] * 6] * 4
        for step in range(2):
            block = module.blocks[step % len(module.blocks)]
            slots = block_by_hand(block, slots, local[item].tolist(), codes, real)  # type: ignore[arg-type]
        slots = [norm(module.norm, slot) for slot in slots]
        exact = 1e-6 if module.positions else 1e-12  # the codes of places are float32
        torch.testing.assert_close(residual[item].tolist(), slots, rtol=exact, atol=exact)
        added = norm(module.norm_global, whole[item].tolist())
        expected = normalize(
            torch.tensor(slots, dtype=torch.float64) + torch.tensor(added, dtype=torch.float64), dim=-1
        )
        torch.testing.assert_close(embeddings[item], expected, rtol=exact, atol=exact)


def test_an_unshared_module_has_a_block_for_each_iteration() -> None:
    assert len(small(iterations=3, shared=True).blocks) == 1
    assert len(small(iterations=3, shared=False).blocks) == 3


@pytest.mark.parametrize("attention", ["slots", "transformer"])
def test_padding_changes_nothing_under_the_proper_mask(attention: str) -> None:
    module = small(attention=attention, positions=True).eval()
    local, mask, whole = inputs(torch.float32)
    longer = torch.cat([local, 100 * torch.ones(2, 3, 6)], 1)
    padded = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(module(longer, padded, whole)[0], module(local, mask, whole)[0])


def test_official_masking_leaves_padding_one_kth_of_every_slot() -> None:
    block = SlotBlock(6, 4, mask_mode="official", heads=2, head_dim=3)
    logits = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = inputs()[1]
    weights = block.weights(logits, mask)
    shares = logits.softmax(2)
    rows = shares[1, :, :, :3].sum(-1) + 1 / 3 + 1e-7
    torch.testing.assert_close(weights[1, :, :, 3], 1 / 3 / rows)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3))
    block.mask_mode = "proper"
    assert (block.weights(logits, mask)[1, :, :, 3] == 0).all()
    torch.testing.assert_close(block.weights(logits, mask).sum(-1), torch.ones(2, 2, 3))


def test_codes_of_places_run_to_two_pi_whatever_the_padding() -> None:
    codes = place_codes(torch.tensor([[True, True, True, False], [True, True, True, True]]), 5)
    assert codes.shape == (2, 4, 5)
    for row, length in ((0, 3), (1, 4)):
        for place in range(1, length + 1):
            angles = [2 * math.pi * place / length / 10000 ** (2 * (i // 2) / 5) for i in range(5)]
            expected = [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]
            torch.testing.assert_close(codes[row, place - 1], torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_sampled_slots_differ_by_item_in_training_and_are_fixed_in_evaluation() -> None:
    module = small(slots="sampled")
    local, mask, whole = inputs(torch.float32)
    same = (local[:1].expand(2, -1, -1), mask[:1].expand(2, -1), whole[:1].expand(2, -1))
    noisy, quiet = module.train()(*same)[0], module.eval()(*same)[0]
    assert not torch.allclose(noisy[0], noisy[1])
    torch.testing.assert_close(quiet[0], quiet[1])
    torch.testing.assert_close(module(*same)[0], quiet)


@pytest.mark.parametrize("elements", [1, 3])
@pytest.mark.parametrize("changes", KINDS, ids=str)
def test_every_parameter_gets_a_finite_gradient(changes: dict[str, Any], elements: int) -> None:
    module = small(elements=elements, **changes)
    module(*inputs(torch.float32))[0].sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_half_precision_gives_finite_unit_vectors() -> None:
    local, mask, whole = inputs(torch.float32)
    for changes in KINDS:
        with torch.autocast("cpu", torch.bfloat16):
            actual = small(**changes)(local, mask, whole)[0]
        torch.testing.assert_close(actual.float().norm(dim=-1), torch.ones(2, 3), rtol=2e-2, atol=2e-2)


def test_codes_of_places_are_scaled_by_the_padded_length_where_asked() -> None:
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    codes = place_codes(mask, 5, "padded")
    for row in range(2):
        for place in range(1, 5):
            angles = [2 * math.pi * place / 4 / 10000 ** (2 * (i // 2) / 5) for i in range(5)]
            expected = [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]
            torch.testing.assert_close(codes[row, place - 1], torch.tensor(expected), rtol=1e-5, atol=1e-6)
    local, mask, whole = inputs(torch.float32)
    by_scale = [
        small(positions=True, place_scale=scale).eval()(local, mask, whole)[0] for scale in ("caption", "padded")
    ]
    assert torch.equal(by_scale[0][0], by_scale[1][0])  # the longest caption of the batch
    assert not torch.allclose(by_scale[0][1], by_scale[1][1])
