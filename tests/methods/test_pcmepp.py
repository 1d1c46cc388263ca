from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from raytrain.config import EncoderConfig, PCMEPPConfig
from raytrain.methods.base import StepContext
from raytrain.methods.pcmepp import PCMEPP
from tests.methods.baselines import ENCODER, INPUTS, WORDS, B, batch, check_alone, check_trains, named, switches


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> PCMEPP:
    torch.manual_seed(0)
    return PCMEPP(encoder, PCMEPPConfig(**{"log_variance_start": -2.0, **changes}), INPUTS)


def parts(method: PCMEPP, given: dict[str, torch.Tensor]) -> list[tuple[list[list[float]], list[list[float]]]]:
    """Means and log variances of captions and of images, as numbers."""
    states = method.text.states(given["text"], given["text_mask"])
    text = method.text(given["text"], given["text_mask"]), method.text_variance(states, given["text_mask"])
    regions = given["regions"], given["region_mask"]
    image = method.image(*regions)[:, 0], method.image_variance(*regions)
    return [(mean.tolist(), log_variance.tolist()) for mean, log_variance in (text, image)]


@pytest.mark.parametrize("positives", ["image", "pair"])
def test_the_loss_is_the_weighted_sum_of_its_terms(positives: Any) -> None:
    method, given = build(positives=positives, vib_weight=0.5, pseudo_weight=0.3).eval(), batch()
    actual = method(given, StepContext())
    text, image = parts(method, given)
    logits, labels = [], []
    for i in range(B):
        logits.append([])
        labels.append([])
        for j in range(B):
            distance = math.dist(text[0][i], image[0][j]) ** 2
            distance += sum(map(math.exp, text[1][i])) + sum(map(math.exp, image[1][j]))
            logits[-1].append(5 - 5 * distance)
            same = given["image_id"][i] == given["image_id"][j] if positives == "image" else i == j
            labels[-1].append(float(same))

    def cross_entropy(label: Any) -> float:
        total = 0.0
        for i in range(B):
            for j in range(B):
                p = 1 / (1 + math.exp(-logits[i][j]))
                total -= label(i, j) * math.log(p) + (1 - label(i, j)) * math.log(1 - p)
        return total / B**2

    match = cross_entropy(lambda i, j: labels[i][j])
    by_caption = cross_entropy(lambda i, j: labels[i][i] if logits[i][j] >= logits[i][i] else labels[i][j])
    by_image = cross_entropy(lambda i, j: labels[j][j] if logits[i][j] >= logits[j][j] else labels[i][j])
    vib = 0.0
    for means, log_variances in (text, image):
        divergences = [
            -(1 + s - m**2 - math.exp(s)) / 2
            for row, other in zip(means, log_variances, strict=True)
            for m, s in zip(row, other, strict=True)
        ]
        vib += sum(divergences) / len(divergences)
    assert by_caption != match != by_image
    expected = {"match": match, "vib": vib, "pseudo": by_caption + by_image}
    for name, value in expected.items():
        assert actual[name].item() == pytest.approx(value, rel=1e-4), name
    assert actual["loss"].item() == pytest.approx(2 * match + 0.5 * vib + 0.3 * (by_caption + by_image), rel=1e-4)
    extra = [(logits[i][j] >= logits[k][k]) and not labels[i][j] for i in range(B) for j in range(B) for k in (i, j)]
    assert actual["pseudo_positives"].item() == pytest.approx(sum(extra) / (2 * B * B))


def test_what_is_searched_is_ranked_by_minus_the_distance() -> None:
    method, given = build().eval(), batch()
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    assert query.shape == gallery.shape == (B, 9)
    text, image = parts(method, given)
    actual = method.similarity(query, gallery)
    for q, g in ((0, 0), (2, 5)):
        spread = sum(map(math.exp, text[1][q])) + sum(map(math.exp, image[1][g]))
        assert actual[q, g].item() == pytest.approx(-(math.dist(text[0][q], image[0][g]) ** 2) - spread, rel=1e-5)


def test_sigma_starts_where_it_is_told_to_and_is_reported() -> None:
    actual = build(log_variance_start=-8.0)(batch())
    for name in ("text_sigma", "image_sigma"):
        assert actual[name].item() == pytest.approx(math.exp(-4), rel=0.02)


CHANGES: list[dict[str, Any]] = [{"pseudo_weight": 0.0}, {"vib_weight": 0.0}, {"log_variance_start": -40.0}]


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
@pytest.mark.parametrize("change", [*switches(PCMEPPConfig), *CHANGES], ids=named)
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], encoder: Any) -> None:
    given = batch(encoder is WORDS)
    check_trains(build(encoder, **change), given, StepContext(1.5, 4))
    check_alone(build(encoder, **change), given)


MIX = torch.full((B, 4), -40.0)  # standard normal numbers: an image is mixed, by mixup, and nothing of it is kept
MIX[1] = 40.0  # the second one stays as it is
MIX[2, 2] = 0.0  # half of the third one is kept


def mixed(mix: str, positives: Any = "pair") -> tuple[dict[str, Any], torch.Tensor]:
    """The batch as PCME++ mixes it, and the labels that follow."""
    method = build(mix=mix, positives=positives, mix_share=0.5)
    assert method.noise_shape == (4,)
    given, kept = method._mixed(batch() | {"noise": MIX}, StepContext())
    assert kept is not None
    return given, kept


def test_images_are_mixed_with_the_one_at_the_mirrored_place() -> None:
    given, kept = mixed("mixup")
    torch.testing.assert_close(kept, torch.tensor([0.0, 1.0, 0.5, 0.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    regions = batch()["regions"]
    torch.testing.assert_close(given["regions"][0, :3], regions[5, :3])
    torch.testing.assert_close(given["regions"][1], regions[1])
    torch.testing.assert_close(given["regions"][2, :3], (regions[2, :3] + regions[3, :3]) / 2)


def test_labels_follow_the_share_that_was_kept() -> None:
    """Image 0 is wholly image 5 by now, half of image 2 is image 3, and image 1 is itself."""
    method = build(mix="mixup", positives="pair", mix_share=0.5, pseudo_weight=0.0, vib_weight=0.0)
    given = batch() | {"noise": MIX}
    (_, kept), actual = mixed("mixup"), method(given, StepContext())
    labels = torch.eye(B) * kept + torch.eye(B).flip(1) * (1 - kept)
    assert labels[:, 0].tolist() == [0, 0, 0, 0, 0, 1] and labels[:, 2].tolist() == [0, 0, 0.5, 0.5, 0, 0]
    replaced, _ = mixed("mixup")
    query, gallery = method.encode_query(given), method.encode_gallery({**given, **replaced})
    logits = 5 * method.similarity(query, gallery) + 5
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert actual["match"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_only_batches_that_train_are_mixed_and_none_by_default() -> None:
    assert build().noise_shape == ()
    method = build(mix="both").eval()
    check_alone(method, batch())
    for mix in ("cutmix", "both"):
        check_trains(build(mix=mix), batch(noise=(4,)), StepContext())
