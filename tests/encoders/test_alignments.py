"""SGRAF's global vectors, graph reasoning and attention filtration against their equations, pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from raytrain.encoders.alignments import AttentionFiltration, GlobalVector, GraphReasoning
from tests.encoders.local_features import Vectors, affine, filtered, locals_of, members, reasoned, unit

LENGTHS = [3, 1, 4, 2]
S = 4


def alignments(captions: list[int], images: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(G, Q, N, S) unit vectors, `captions` real ones per caption, then numbers that must not count; and their mask."""
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.randn(images, len(captions), max(captions) + 1, S, generator=generator, dtype=torch.float64)
    mask = torch.arange(max(captions) + 1) < torch.tensor(captions)[:, None]
    return normalize(nodes, dim=-1), mask


def filtration(seed: int = 0) -> AttentionFiltration:
    """A module whose scale, bias and running statistics are not where they start."""
    torch.manual_seed(seed)
    module = AttentionFiltration(S).double()
    with torch.no_grad():
        for value in (module.weight, module.bias, module.running_mean, module.running_var):
            value.uniform_(0.2, 0.6)
    return module


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_global_vector_is_that_of_the_equations(batch_norm: bool) -> None:
    torch.manual_seed(0)
    module = GlobalVector(5, 0.0, batch_norm).double()
    local = locals_of(LENGTHS)
    items = members(local, LENGTHS)
    vectors = module(local, local.ne(0).any(-1))

    def factors(layers: nn.Sequential, rows: Vectors) -> Vectors:
        outputs = [affine(layers[0], row) for row in rows]  # type: ignore[arg-type]
        if batch_norm:
            columns = list(zip(*outputs, strict=True))
            means = [sum(column) / len(outputs) for column in columns]
            spreads = [sum((x - m) ** 2 for x in c) / len(outputs) for c, m in zip(columns, means, strict=True)]
            outputs = [
                [(x - m) / math.sqrt(s + 1e-5) for x, m, s in zip(row, means, spreads, strict=True)] for row in outputs
            ]
        return [[math.tanh(x) for x in row] for row in outputs]

    features, owners = [v for item in items for v in item], [i for i, item in enumerate(items) for _ in item]
    means = [[sum(v[d] for v in item) / len(item) for d in range(5)] for item in items]
    own, shared = factors(module.local, features), factors(module.mean, means)
    logits = [
        affine(module.score, [a * b for a, b in zip(factor, shared[i], strict=True)])[0]
        for factor, i in zip(own, owners, strict=True)
    ]
    for i, item in enumerate(items):
        powers = [math.exp(x) for x, owner in zip(logits, owners, strict=True) if owner == i]
        mixed = [sum(p * v[d] for p, v in zip(powers, item, strict=True)) for d in range(5)]
        assert vectors[i].tolist() == pytest.approx(unit(mixed), abs=1e-12)
    padded = pad(local, (0, 0, 0, 3))
    torch.testing.assert_close(module(padded, padded.ne(0).any(-1)), vectors, rtol=0, atol=1e-12)


def test_a_single_feature_is_its_own_global_vector() -> None:
    local = locals_of([1, 1, 1])
    module = GlobalVector(5, 0.4, batch_norm=True).double()
    torch.testing.assert_close(module(local, torch.ones(3, 1, dtype=torch.bool)), local[:, 0])


def test_a_step_of_reasoning_equals_its_equation_whatever_pads_it() -> None:
    torch.manual_seed(0)
    step = GraphReasoning(S).double()
    nodes, mask = alignments([3, 1, 2])
    after = step(nodes, mask)
    for g in range(3):
        for q, count in enumerate((3, 1, 2)):
            expected = reasoned(step, nodes[g, q, :count].tolist())
            torch.testing.assert_close(after[g, q, :count], torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(step(nodes, mask, rows=1), after[:, :, :1])


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_filtration_takes_the_statistics_of_each_caption_in_training_and_the_running_ones_otherwise(
    training: bool,
) -> None:
    module = filtration().train(training)
    lengths = [3, 1, 2]
    nodes, mask = alignments(lengths)
    vectors, means, variances = module(nodes, mask)
    for q, count in enumerate(lengths):
        logits = [affine(module.score, node)[0] for g in range(3) for node in nodes[g, q, :count].tolist()]
        mean = sum(logits) / len(logits)
        variance = sum((x - mean) ** 2 for x in logits) / len(logits)
        assert means[q].item() == pytest.approx(mean, abs=1e-12)
        assert variances[q].item() == pytest.approx(variance * len(logits) / (len(logits) - 1), abs=1e-12)
        if not training:
            mean, variance = module.running_mean.item(), module.running_var.item()
        for g in range(3):
            expected = filtered(module, nodes[g, q, :count].tolist(), mean, variance)
            assert vectors[g, q].tolist() == pytest.approx(expected, abs=1e-12)
    assert not means.requires_grad and not variances.requires_grad


def test_computing_changes_no_buffer_and_update_moves_them_towards_the_mean_over_captions() -> None:
    module = filtration()
    before = module.running_mean.item(), module.running_var.item()
    _, means, variances = module(*alignments([2, 3]))
    assert (module.running_mean.item(), module.running_var.item()) == before
    module.update(means, variances)
    expected = [0.9 * old + 0.1 * sum(new.tolist()) / 2 for old, new in zip(before, (means, variances), strict=True)]
    assert [module.running_mean.item(), module.running_var.item()] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("module", ["reasoning", "filtration"])
def test_equal_alignments_have_finite_gradients(module: str) -> None:
    """Then the variance of the batch norm is zero, and every edge of the graph has the same weight."""
    nodes = torch.full((2, 2, 3, S), 0.5, requires_grad=True)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    outputs = GraphReasoning(S)(nodes, mask) if module == "reasoning" else AttentionFiltration(S)(nodes, mask)[0]
    outputs.square().sum().backward()
    assert nodes.grad is not None
    assert torch.isfinite(outputs).all()
    assert torch.isfinite(nodes.grad).all()
