from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain import losses
from raytrain.config import BiGRUText, EncoderConfig, SGRAFConfig
from raytrain.methods.base import StepContext
from raytrain.methods.cross_attention.sgraf import SGRAF
from tests.encoders.local_features import (
    Vectors,
    affine,
    attended,
    filtered,
    locals_of,
    members,
    reasoned,
    sigmoid,
    unit,
)
from tests.methods.cross_attention.test_scan import ENCODER, IMAGES, INPUTS, TEXTS, awkward, batch

MODULES = ["sgr", "saf"]


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> SGRAF:
    """With biases, scales and running statistics that are not where they begin."""
    torch.manual_seed(0)
    method = SGRAF(encoder, SGRAFConfig(**{"sim_dim": 4, "dropout": 0.0, **changes}), INPUTS)
    with torch.no_grad():
        for name, value in method.state_dict().items():
            if name.endswith("bias") or "filtration" in name:
                value.uniform_(0.2, 0.6)
    return method


def pairs(dim: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Embedded captions and images: a global vector, then words or regions."""
    texts, images = locals_of([n + 1 for n in TEXTS], dim), locals_of([n + 1 for n in IMAGES], dim, 1)
    return texts.to(dtype), images.to(dtype)


def oracle(method: SGRAF, texts: list[Vectors], images: list[Vectors]) -> tuple[list[list[float]], list[list[float]]]:
    """Scores of all pairs, and SAF's logits of each caption (SGRAF, sections 3.2 to 3.4)."""
    scores, logits = [], []
    for caption in texts:
        alignments = []
        for image in images:
            seen = attended(caption[1:], image[1:], method.config.attention_scale)
            local = [
                [(x - y) ** 2 for x, y in zip(unit(a), w, strict=True)] for a, w in zip(seen, caption[1:], strict=True)
            ]
            whole = [(x - y) ** 2 for x, y in zip(image[0], caption[0], strict=True)]
            nodes = [unit(affine(method.global_alignment, whole))]
            alignments.append(nodes + [unit(affine(method.local_alignment, part)) for part in local])
        row = []
        if method.config.module == "saf":
            module = method.filtration
            seen_logits = [affine(module.score, node)[0] for nodes in alignments for node in nodes]
            logits.append(seen_logits)
            mean = sum(seen_logits) / len(seen_logits)
            variance = sum((x - mean) ** 2 for x in seen_logits) / len(seen_logits)
            if not method.training:
                mean, variance = module.running_mean.item(), module.running_var.item()
        for nodes in alignments:
            if method.config.module == "saf":
                vector = filtered(module, nodes, mean, variance)
            else:
                for step in method.reasoning:
                    nodes = reasoned(step, nodes)  # type: ignore[arg-type]
                vector = nodes[0]
            row.append(sigmoid(affine(method.evaluation, vector)[0]))
        scores.append(row)
    return scores, logits


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("change", [{"module": "sgr"}, {"module": "sgr", "steps": 1}, {"module": "saf"}])
def test_scores_are_those_of_the_equations(change: dict[str, Any], training: bool) -> None:
    method = build(**change).double().train(training)
    texts, images = pairs()
    expected, _ = oracle(method, members(texts, [n + 1 for n in TEXTS]), members(images, [n + 1 for n in IMAGES]))
    actual = method.similarity(texts, images)
    assert actual.std() > 1e-3
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_training_moves_the_running_statistics_once_towards_the_captions_mean_and_evaluation_leaves_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, images = pairs()
    for numbers in (2**18, 1):  # all pairs at once, and captions apart, whose blocks are computed twice
        monkeypatch.setattr("raytrain.methods.cross_attention.base.NUMBERS_PER_MIB", numbers)
        method = build(module="saf", memory_mib=1).double()
        _, logits = oracle(method, members(texts, [n + 1 for n in TEXTS]), members(images, [n + 1 for n in IMAGES]))
        before = method.filtration.running_mean.item(), method.filtration.running_var.item()
        by_caption = [torch.tensor(row, dtype=torch.float64) for row in logits]
        means, variances = (sum(part.item() for part in parts) / 4 for parts in (
            [row.mean() for row in by_caption], [row.var() for row in by_caption]
        ))  # fmt: skip
        method.similarity(texts, images).sum().backward()
        after = method.filtration.running_mean.item(), method.filtration.running_var.item()
        assert after[0] == pytest.approx(0.9 * before[0] + 0.1 * means, abs=1e-12)
        assert after[1] == pytest.approx(0.9 * before[1] + 0.1 * variances, abs=1e-12)
        method.eval().similarity(texts, images)
        assert (method.filtration.running_mean.item(), method.filtration.running_var.item()) == after


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_changes_no_score(module: str, training: bool, dtype: torch.dtype) -> None:
    texts, images = pairs(dtype=dtype)
    method = build(module=module).to(dtype).train(training)
    whole = method.similarity(texts, images)
    for more in (1, 4):
        wide = (torch.nn.functional.pad(part, (0, 0, 0, more)) for part in (texts, images))
        torch.testing.assert_close(method.similarity(*wide), whole, rtol=0, atol=1e-6)
    gaps = torch.stack([texts, torch.zeros_like(texts)], 2).flatten(1, 2)  # a row of zeros after each word
    torch.testing.assert_close(method.similarity(gaps, images), whole, rtol=0, atol=1e-6)


def test_an_embedding_is_the_global_vector_and_the_local_ones_with_zeros_for_what_is_masked() -> None:
    method, given = build(), batch()
    for rows, mask in ((method.encode_query(given), "text_mask"), (method.encode_gallery(given), "region_mask")):
        torch.testing.assert_close(rows[:, 1:].norm(dim=-1), given[mask].float())
        torch.testing.assert_close(rows[:, 0].norm(dim=-1), torch.ones(6))


def test_any_number_of_regions_is_taken_by_one_model() -> None:
    method, given = build().eval(), batch()
    query = method.encode_query(given)
    for count in (1, 2, 4):
        image = {"regions": given["regions"][:, :count], "region_mask": torch.ones(6, count, dtype=torch.bool)}
        assert method.similarity(query, method.encode_gallery(image)).isfinite().all()


@pytest.mark.parametrize("change", [{"module": "sgr"}, {"module": "saf"}, {"region_norm": "none"}])
def test_the_loss_is_the_triplet_loss_and_every_parameter_trains(change: dict[str, Any]) -> None:
    negatives = batch()["image_id"][:, None] != batch()["image_id"]
    for words in (False, True):
        encoder = EncoderConfig(dim=8, text=BiGRUText(word_dim=6)) if words else ENCODER
        method = build(encoder, mean_warmup_epochs=1.0, **change)
        scores = method.similarity(method.encode_query(batch(words)), method.encode_gallery(batch(words)))
        for epoch, hardest in ((0.5, False), (1.0, True)):
            expected = losses.triplet_loss(scores, negatives, 0.2, hardest)
            torch.testing.assert_close(method(batch(words), StepContext(epoch, 3))["loss"], expected)
        method(batch(words), StepContext(1, 3))["loss"].backward()
        for name, parameter in method.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("module", MODULES)
def test_scores_and_gradients_are_finite_in_every_corner(module: str, case: str) -> None:
    texts, images = (torch.cat([part[:, :1], part], 1).float() for part in awkward()[case])
    texts.requires_grad_()
    images.requires_grad_()
    method = build(EncoderConfig(dim=5), module=module)
    scores = method.similarity(texts, images)
    scores.sum().backward()
    for value in (scores, texts.grad, images.grad, *(p.grad for p in method.parameters() if p.grad is not None)):
        assert value is not None
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("module", MODULES)
def test_blocks_of_queries_give_the_scores_and_gradients_of_all_at_once(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    # numbers of a MiB: all at once, single queries, a few; then two queries at a time, kept for the backward pass
    for numbers, captions in ((2**18, 32), (1, 32), (2500, 32), (2**18, 2)):
        monkeypatch.setattr("raytrain.methods.cross_attention.base.CAPTIONS_AT_ONCE", captions)
        monkeypatch.setattr("raytrain.methods.cross_attention.base.NUMBERS_PER_MIB", numbers)
        method = build(module=module, memory_mib=1).double()
        texts, images = (part.requires_grad_() for part in pairs())
        scores = method.similarity(texts, images)
        scores.square().sum().backward()
        assert texts.grad is not None and images.grad is not None
        gradients = [p.grad for p in method.parameters() if p.grad is not None]
        results.append([scores.detach(), texts.grad, images.grad, *gradients])
    for other in results[1:]:
        for here, there in zip(results[0], other, strict=True):
            torch.testing.assert_close(there, here, rtol=0, atol=1e-12)
