"""Composed retrieval: queries of every composition, both losses, targets that also answer, and a learned scale."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain import losses
from raytrain.config import BiGRUText, ComposedConfig, EncoderConfig
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.composed import Composed
from tests.methods.baselines import check_alone, check_trains, named, switches

D, B = 8, 6
ENCODER = EncoderConfig(dim=D, gpo_dim=4)
WORDS = EncoderConfig(dim=D, gpo_dim=4, text=BiGRUText(word_dim=6))
INPUTS = Inputs(region_features=6, token_features=5, words=20)


def batch(words: bool = False, noise: bool = False, further: bool = False) -> dict[str, Tensor]:
    """Six queries with one target each; with `known`, the target of query 1 answers query 0 too."""
    generator = torch.Generator().manual_seed(0)
    regions, reference = torch.randn(2, B, 4, 6, generator=generator)
    given = {
        "regions": regions,
        "region_mask": torch.tensor([[True, True, True, False]] * B),
        "reference": reference,
        "reference_mask": torch.tensor([[True, True, False, True]] * B),
        "text": torch.randint(20, (B, 5), generator=generator) if words else torch.randn(B, 5, 5, generator=generator),
        "text_mask": torch.tensor([[True] * 5, [True, True, True, False, False]] * (B // 2)),
    }
    if noise:
        given["noise"] = torch.randn(B, 2, D, generator=generator)
    if further:
        given["known_positives"] = torch.zeros(B, B, dtype=torch.bool)
        given["known_positives"][0, 1] = True
    return given


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> Composed:
    torch.manual_seed(0)
    return Composed(encoder, ComposedConfig(**{"dropout": 0.0, **changes}), INPUTS)


def parts(method: Composed, given: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Reference, text and target, (B, D) each."""
    reference = method.image(given["reference"], given["reference_mask"])[:, 0]
    target = method.image(given["regions"], given["region_mask"])[:, 0]
    assert method.text is not None
    return reference, method.text(given["text"], given["text_mask"]), target


def info_nce_by_hand(scores: list[list[float]], scale: float, ignored: tuple[tuple[int, int], ...] = ()) -> float:
    total = 0.0
    for i, row in enumerate(scores):
        powers = [math.exp(scale * score) for j, score in enumerate(row) if (i, j) not in ignored]
        total += math.log(sum(powers)) - scale * row[i]
    return total / len(scores)


def test_the_query_is_the_composition_of_reference_and_text_and_unit_length() -> None:
    for composition in ("fusion", "combiner", "tirg", "sum"):
        method = build(composition=composition).eval()
        reference, text, target = parts(method, batch())
        expected = normalize(method.composition(reference, text), dim=-1)
        torch.testing.assert_close(method.encode_query(batch()), expected)
        torch.testing.assert_close(method.encode_gallery(batch()), target)
    torch.testing.assert_close(method.compose(batch()), reference + text)  # the last one is the sum


def test_image_and_text_alone_leave_the_other_out() -> None:
    given = batch()
    image, text = build(composition="image"), build(composition="text")
    assert image.text is None
    torch.testing.assert_close(
        image.encode_query(given), image.image(given["reference"], given["reference_mask"])[:, 0]
    )
    assert text.text is not None
    torch.testing.assert_close(text.encode_query(given), text.text(given["text"], given["text_mask"]))
    without = {name: value for name, value in given.items() if "reference" not in name}
    torch.testing.assert_close(text.encode_query(without), text.encode_query(given))


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_info_nce_from_queries_to_targets(symmetric: bool) -> None:
    method, given = build(scale=7.0, symmetric=symmetric), batch()
    actual = method(given)
    scores = method.encode_query(given) @ method.encode_gallery(given).T
    expected = info_nce_by_hand(scores.tolist(), 7.0)
    if symmetric:
        expected = (expected + info_nce_by_hand(scores.T.tolist(), 7.0)) / 2
    assert actual["loss"].item() == pytest.approx(expected, rel=1e-4)
    assert actual.keys() == {"loss", "base"} and actual["base"] == actual["loss"]


def test_a_further_target_is_a_negative_only_where_the_config_says_so() -> None:
    given = batch(further=True)
    masked, negative = build(scale=7.0), build(scale=7.0, known_positives="negative")
    scores = (masked.encode_query(given) @ masked.encode_gallery(given).T).tolist()
    assert masked(given)["loss"].item() == pytest.approx(info_nce_by_hand(scores, 7.0, ((0, 1),)), rel=1e-4)
    assert negative(given)["loss"].item() == pytest.approx(info_nce_by_hand(scores, 7.0), rel=1e-4)
    assert negative.ignored(given, StepContext()) is None
    assert masked.ignored(batch(), StepContext()) is None


def test_multi_grained_blurs_targets_with_the_noise_of_the_batch_and_less_with_progress() -> None:
    method, given = build(base_loss="multi_grained", norm=3.0), batch(noise=True)
    assert method.noise_shape == (2, D)
    query, target = 3 * method.encode_query(given), 3 * method.encode_gallery(given)
    blurred = losses.blurred(target, given["noise"].transpose(0, 1))
    for epoch in (0.0, 2.0):
        actual = method(given, StepContext(epoch, 4))
        torch.testing.assert_close(actual["loss"], losses.multi_grained_loss(query, target, blurred, epoch / 4))
    torch.manual_seed(0)
    first, second = (method(batch(), StepContext(0, 4))["loss"] for _ in range(2))
    assert first != second  # without noise in the batch it is drawn


def test_a_learned_scale_starts_at_the_given_one_is_at_most_a_hundred_and_belongs_to_info_nce() -> None:
    method = build(scale_learned=True, scale=7.0)
    torch.testing.assert_close(method(batch())["loss"], build(scale=7.0)(batch())["loss"])
    assert method.log_scale is not None
    method(batch())["loss"].backward()
    assert method.log_scale.grad is not None and method.log_scale.grad != 0
    torch.nn.init.constant_(method.log_scale, 10.0)
    method.log_scale.grad = None
    scale = method.scale()
    assert isinstance(scale, Tensor) and scale.item() == pytest.approx(100)
    scale.backward()  # type: ignore[no-untyped-call]
    assert method.log_scale.grad == pytest.approx(100)  # it can come back below the bound
    assert build(scale_learned=True, base_loss="multi_grained").log_scale is None


def test_two_ranks_with_the_noise_of_their_queries_have_the_loss_of_one() -> None:
    """Batch norm is left out: the loop synchronises it."""
    method = build(base_loss="multi_grained").eval()
    whole = method(batch(noise=True), StepContext(1, 4))
    halves = [{name: rows[part] for name, rows in batch(noise=True).items()} for part in (slice(0, 2), slice(2, None))]
    sent: list[list[Tensor]] = [[], []]
    for rank, half in zip(sent, halves, strict=True):
        method(half, StepContext(1, 4, gather=lambda rows, rank=rank: (rank.append(rows), rows)[1]))
    everything = iter([torch.cat(pair) for pair in zip(*sent, strict=True)])
    first = method(halves[0], StepContext(1, 4, gather=lambda _: next(everything)))
    torch.testing.assert_close(first["loss"], whole["loss"])


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("change", [*switches(ComposedConfig), {"dropout": 0.5}], ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(
    change: dict[str, Any], encoder: EncoderConfig
) -> None:
    method = build(encoder, **change)
    given = batch(encoder is WORDS, noise=bool(method.noise_shape), further=True)
    check_trains(method, given, StepContext(1.5, 4))
    without = {name: value for name, value in given.items() if name != "known_positives"}
    check_alone(build(encoder, **change), without)
