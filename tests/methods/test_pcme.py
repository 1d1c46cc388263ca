from __future__ import annotations

from typing import Any

import pytest
import torch

from raytrain import losses, similarity
from raytrain.config import EncoderConfig, PCMEConfig
from raytrain.methods.base import StepContext
from raytrain.methods.pcme import PCME
from tests.methods.baselines import ENCODER, INPUTS, WORDS, B, batch, check_alone, check_trains, named, switches

J, D = 4, 8


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> PCME:
    torch.manual_seed(0)
    return PCME(encoder, PCMEConfig(**{"samples": J, "log_sigma_start": -1.0, **changes}), INPUTS)


def gaussians(method: PCME, given: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Mean and log sigma, (B, 1, D) each, of captions and of images."""
    return [method.text(given["text"], given["text_mask"]), method.image(given["regions"], given["region_mask"])]


@pytest.mark.parametrize("positives", ["image", "pair"])
@pytest.mark.parametrize("vib_form", ["exact", "official"])
def test_the_loss_is_the_weighted_sum_of_its_terms(vib_form: Any, positives: Any) -> None:
    method = build(uniformity_weight=10.0, vib_weight=0.1, vib_form=vib_form, positives=positives)
    given = batch(noise=(2, J, D))
    actual = method(given, StepContext())
    samples = [
        mean + given["noise"][:, side] * log_sigma.exp()
        for side, (mean, log_sigma) in enumerate(gaussians(method, given))
    ]
    matched = torch.eye(B, dtype=torch.bool)
    if positives == "image":
        matched[0, 1] = matched[1, 0] = True  # two captions of one image
    match = losses.match_nll(similarity.match_logits(*samples, 15.0, 15.0), matched)
    uniformity = losses.uniformity(torch.cat([part.reshape(-1, D) for part in samples]))
    vib = torch.zeros(())
    for mean, log_sigma in gaussians(method, given):
        for m, s in zip(mean.flatten(), log_sigma.flatten(), strict=True):
            exact = (m**2 + (2 * s).exp() - 1 - 2 * s) / 2
            vib = vib + (exact if vib_form == "exact" else -(1 + s - m**2 - s.exp()) / 2)
    for name, expected in {"match": match, "uniformity": uniformity, "vib": vib}.items():
        torch.testing.assert_close(actual[name], expected.detach())
    torch.testing.assert_close(actual["loss"], 2 * match + 10 * uniformity + 0.1 * vib)
    sigmas = [log_sigma.exp().mean() for _, log_sigma in gaussians(method, given)]
    torch.testing.assert_close(torch.stack([actual["text_sigma"], actual["image_sigma"]]), torch.stack(sigmas).detach())


def test_match_probability_of_the_loss_is_the_mean_over_pairs_of_samples() -> None:
    """One pair written out: no shared function between the two sides."""
    method, given = build(vib_weight=0.0), batch(noise=(2, J, D), same_image=False)
    pair = {key: value[:1] for key, value in given.items()}
    (text, text_sigma), (image, image_sigma) = gaussians(method, pair)
    total = 0.0
    for j in range(J):
        for k in range(J):
            x = text[0, 0] + pair["noise"][0, 0, j] * text_sigma[0, 0].exp()
            y = image[0, 0] + pair["noise"][0, 1, k] * image_sigma[0, 0].exp()
            logit = 15 - 15 * ((x - y).square().sum() + 1e-6).sqrt().item()
            total += 1 / (1 + float(torch.exp(torch.tensor(-2 * logit, dtype=torch.float64))))
    expected = -2 * torch.log(torch.tensor(total / J**2, dtype=torch.float64))
    assert method(pair)["loss"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("score", ["mean", "matmul", "match_probability"])
def test_scores_are_those_of_the_means_or_of_all_pairs_of_fixed_samples(score: Any) -> None:
    method, given = build(search_by=score).eval(), batch()
    actual = method.similarity(method.encode_query(given), method.encode_gallery(given))
    (text, text_sigma), (image, image_sigma) = gaussians(method, given)
    if score == "mean":
        torch.testing.assert_close(actual, text[:, 0] @ image[:, 0].T)
        return
    noise = dict(method.named_buffers())["test_noise"]
    query, gallery = text + noise[0] * text_sigma.exp(), image + noise[1] * image_sigma.exp()
    for q, g in ((0, 0), (2, 5)):
        pairs = [(x, y) for x in query[q] for y in gallery[g]]
        if score == "matmul":
            expected = sum((x @ y).item() for x, y in pairs) / len(pairs)
        else:
            logits = torch.stack([15 - 15 * ((x - y).square().sum() + 1e-6).sqrt() for x, y in pairs]).double()
            expected = torch.sigmoid(2 * logits).mean().log().item()
        assert actual[q, g].item() == pytest.approx(expected, rel=1e-4)


def test_test_noise_does_not_hang_on_the_seed_of_the_run_and_is_drawn_apart_for_each_side() -> None:
    first = dict(build(search_by="matmul").named_buffers())["test_noise"]
    torch.manual_seed(99)
    second = dict(PCME(ENCODER, PCMEConfig(samples=J, search_by="matmul"), INPUTS).named_buffers())["test_noise"]
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert "test_noise" not in build().state_dict()


def test_sigma_starts_where_it_is_told_to() -> None:
    actual = build(log_sigma_start=-6.0)(batch(noise=(2, J, D)))
    assert 0.2 < actual["text_sigma"] / torch.tensor(-6.0).exp() < 5
    assert 0.2 < actual["image_sigma"] / torch.tensor(-6.0).exp() < 5


def test_without_noise_in_the_batch_samples_are_drawn_anyway() -> None:
    method = build()
    assert method(batch())["loss"] != method(batch())["loss"]


CHANGES: list[dict[str, Any]] = [{"uniformity_weight": 10.0}, {"vib_weight": 0.0}, {"log_sigma_start": -20.0}]


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("samples", [1, J])
@pytest.mark.parametrize("change", [*switches(PCMEConfig), *CHANGES], ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(
    change: dict[str, Any], samples: int, encoder: Any
) -> None:
    words = encoder is WORDS
    check_trains(build(encoder, samples=samples, **change), batch(words, noise=(2, samples, D)), StepContext(1.5, 4))
    check_alone(build(encoder, samples=samples, **change), batch(words))
