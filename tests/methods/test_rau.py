from __future__ import annotations

from typing import Any, get_args

import pytest
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import normalize

from raytrain import losses
from raytrain.config import EncoderConfig, RAUConfig
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.rau import RAU

D, B = 8, 6
ENCODER = EncoderConfig(dim=D, gpo_dim=4)
INPUTS = Inputs(region_features=6, token_features=5)
PLAIN = {"isu_weight": 0.0, "csu_weight": 0.0, "dr_weight": 0.0}


def batch(blocks: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    regions, reference = torch.randn(2, B, 4, 6, generator=generator)
    return {
        "regions": regions,
        "region_mask": torch.tensor([[True, True, True, False]] * B),
        "reference": reference,
        "reference_mask": torch.tensor([[True, True, True, True]] * B),
        "text": torch.randn(B, 5, 5, generator=generator),
        "text_mask": torch.tensor([[True] * 5, [True, True, True, False, False]] * (B // 2)),
        "noise": torch.randn(B, 2 * blocks, D, generator=generator),
    }


def build(**changes: Any) -> RAU:
    torch.manual_seed(0)
    return RAU(ENCODER, RAUConfig(**{"dropout": 0.0, "theta": 0.7, "theta_mode": "quantile", **changes}), INPUTS)


@pytest.mark.parametrize("composition", ["fusion", "combiner", "tirg", "sum"])
def test_without_uncertainty_it_is_info_nce_and_has_no_blocks(composition: str) -> None:
    method = build(composition=composition, **PLAIN)
    assert not any("blocks" in name for name, _ in method.named_parameters())
    actual = method(batch())
    query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
    torch.testing.assert_close(actual["loss"], losses.info_nce(query @ gallery.T, 1 / 0.07))
    assert set(actual) == {"loss", "base"}


def test_what_is_searched_is_deterministic_and_of_unit_length() -> None:
    method = build(dropout=0.5).eval()
    query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
    assert torch.equal(query, method.encode_query(batch()))
    torch.testing.assert_close(query.norm(dim=1), torch.ones(B))
    torch.testing.assert_close(gallery.norm(dim=1), torch.ones(B))
    torch.testing.assert_close(method.similarity(query, gallery), query @ gallery.T)
    # blocks are no part of it
    assert method.source_blocks is not None
    for parameter in method.source_blocks.parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(query, method.encode_query(batch()))


@pytest.mark.parametrize("wiring", ["chain", "parallel"])
def test_the_loss_is_the_weighted_sum_of_its_terms(wiring: Any) -> None:
    weights = {"base_weight": 0.3, "isu_weight": 0.5, "csu_weight": 0.7, "dr_weight": 0.2}
    method, given = build(wiring=wiring, **weights), batch()
    actual = method(given, StepContext(epoch=1.0))

    image = method.image(given["reference"], given["reference_mask"])[:, 0]
    h = method.composition(image, method.text(given["text"], given["text_mask"]))
    target = method.encode_gallery(given)
    noise = given["noise"].transpose(0, 1)
    assert method.source_blocks is not None and method.target_blocks is not None
    source_side, target_side = method.source_blocks(h, noise[:2]), method.target_blocks(target, noise[2:])
    scores = normalize(h, dim=1) @ target.T
    base = losses.info_nce(scores, 1 / 0.07)
    positives = losses.likely_positives(scores, 0.7, "quantile")
    assert B < positives.sum() < B * B
    isu = csu = dr = 0.0
    for b in range(2):
        sampled = normalize(source_side.sample[b], dim=1) @ normalize(target_side.sample[b], dim=1).T
        isu += losses.info_nce(sampled, 1 / 0.07).item() / 2
        csu += losses.cross_sample(sampled, positives, 1 / 0.07).item() / 2
        gap = (source_side.mean[b] - target_side.mean[b]).square().sum(1)
        spread = ((source_side.log_variance[b] / 2).exp() - (target_side.log_variance[b] / 2).exp()).square().sum(1)
        dr += (gap + spread).mean().item() / 2
    for name, expected in {"base": base.item(), "isu": isu, "csu": csu, "dr": dr}.items():
        assert actual[name].item() == pytest.approx(expected, rel=1e-4), name
    total = 0.3 * base.item() + 0.5 * isu + 0.7 * csu + 0.2 * dr
    assert actual["loss"].item() == pytest.approx(total, rel=1e-4)


def test_there_are_no_further_positives_before_theta_is_trusted() -> None:
    method = build(theta_warmup_epochs=2.0)
    early, late = method(batch(), StepContext(epoch=1.9)), method(batch(), StepContext(epoch=2.0))
    assert early["further_positives"] == 0
    torch.testing.assert_close(early["csu"], early["isu"])
    assert 0 < late["further_positives"] < 1
    assert late["csu"] < early["csu"]


def test_known_positives_that_the_loss_masks_are_not_logged_as_further_ones() -> None:
    """Every target is above theta and known to answer every query: nothing is left to be a further positive."""
    known = batch() | {"known_positives": torch.ones(B, B, dtype=torch.bool)}
    masked, as_negatives = (
        build(theta=-1.0, theta_mode="absolute", theta_warmup_epochs=0, known_positives=choice)(known, StepContext(1.0))
        for choice in ("masked", "negative")
    )
    assert masked["further_positives"] == 0
    assert as_negatives["further_positives"] == 1


@pytest.mark.parametrize(
    ("name", "distance"),
    [
        ("wasserstein", losses.wasserstein_loss),
        ("symmetric_kl", losses.symmetric_divergence),
        ("bhattacharyya", losses.bhattacharyya),
        ("mmd", losses.gaussian_mmd),
    ],
)
def test_the_distance_of_source_and_target_is_the_one_that_is_named(name: Any, distance: Any) -> None:
    method, given = build(dr_distance=name, dr_weight=0.2), batch()
    h = method.composition(
        method.image(given["reference"], given["reference_mask"])[:, 0], method.text(given["text"], given["text_mask"])
    )
    noise = given["noise"].transpose(0, 1)
    assert method.source_blocks is not None and method.target_blocks is not None
    source, target = method.source_blocks(h, noise[:2]), method.target_blocks(method.encode_gallery(given), noise[2:])
    expected = distance(source.mean, source.log_variance, target.mean, target.log_variance).mean()
    torch.testing.assert_close(method(given, StepContext(epoch=1.0))["dr"], expected.detach(), rtol=1e-4, atol=1e-6)


def test_only_wasserstein_has_a_root() -> None:
    with pytest.raises(ValueError, match="dr_root is of wasserstein"):
        RAUConfig(dr_root=True, dr_distance="mmd")


def switches() -> list[dict[str, Any]]:
    """Every choice of every named switch, one at a time, and each loss alone."""
    changes: list[dict[str, Any]] = [
        {name: choice}
        for name, field in RAUConfig.model_fields.items()
        for choice in get_args(field.annotation)
        if name != "kind" and isinstance(choice, str)
    ]
    changes += [{name: True} for name in ("shared_blocks", "scale_learned", "symmetric", "dr_root")]
    changes += [PLAIN | {name: 1.0} for name in PLAIN]
    changes += [PLAIN | {"isu_weight": 1.0, "isu_sides": "source"}, {"base_weight": 0.0}, {"residual": False}]
    return changes


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("change", switches(), ids=lambda change: "-".join(f"{k}={v}" for k, v in change.items()))
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], blocks: int) -> None:
    method = build(blocks=blocks, **change)
    given = {**batch(), "noise": torch.randn(B, *method.noise_shape)}
    actual = method(given, StepContext(epoch=1.5, num_epochs=2))
    actual["loss"].backward()
    assert torch.isfinite(actual["loss"])
    assert safetensors.torch.save(method.state_dict())  # which refuses tensors that stand there twice
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_two_ranks_with_the_noise_of_their_samples_have_the_loss_of_one() -> None:
    """Batch norm is left out: it is synchronised by the loop."""
    method = build().eval()
    whole = method(batch(), StepContext(epoch=2.0))
    halves = [{key: value[part] for key, value in batch().items()} for part in (slice(0, 3), slice(3, None))]
    sent: list[list[Tensor]] = [[], []]
    for rank, half in enumerate(halves):
        method(half, StepContext(epoch=2.0, gather=lambda tensor, rank=rank: (sent[rank].append(tensor), tensor)[1]))
    everything = iter([torch.cat(pair) for pair in zip(*sent, strict=True)])
    actual = method(halves[0], StepContext(epoch=2.0, gather=lambda _: next(everything)))
    assert actual.keys() == whole.keys()
    for name in whole:
        torch.testing.assert_close(actual[name], whole[name], msg=name)


def test_the_learned_scale_starts_at_the_given_one_and_stays_below_a_hundred() -> None:
    method = build(scale_learned=True, **PLAIN)
    torch.testing.assert_close(method(batch())["loss"], build(**PLAIN)(batch())["loss"])
    assert method.log_scale is not None
    torch.nn.init.constant_(method.log_scale, 10.0)
    torch.testing.assert_close(method(batch())["loss"], build(scale=100.0, **PLAIN)(batch())["loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_weight": 0, "isu_weight": 0, "csu_weight": 0}, "nothing else ranks"),
        ({"theta": -0.5, "theta_mode": "quantile"}, r"theta in \[0, 1\]"),
        ({**PLAIN, "dr_weight": 1, "wiring": "parallel", "dr_blocks": "last"}, "without a gradient"),
    ],
)
def test_settings_that_would_not_learn_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RAUConfig(**changes)
