from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain import losses, similarity
from raytrain.config import BiGRUText, EncoderConfig, SCANConfig
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.cross_attention.scan import SCAN
from tests.encoders.local_features import Vectors, attended, dot, locals_of, members, unit

ENCODER = EncoderConfig(dim=8)
INPUTS = Inputs(region_features=6, token_features=5, words=20)
TEXTS, IMAGES = [3, 1, 4, 2], [2, 3, 1]
FORMS: list[dict[str, Any]] = [
    {"direction": "t2i", "attention_scale": 9.0, "pooling_scale": 6.0},
    {"direction": "i2t", "attention_scale": 4.0, "pooling_scale": 5.0},
    {"direction": "t2i", "pooling": "mean"},
    {"direction": "i2t", "pooling": "mean", "attention_scale": 4.0},
]


def batch(words: bool = False) -> dict[str, Tensor]:
    """Six pairs; a caption has five words, one, or three with a gap, and regions are missing in the middle."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(6, 5, 5, generator=generator)
    gap = [True, True, True, False, False] if words else [True, False, True, True, False]
    return {
        "regions": torch.randn(6, 4, 6, generator=generator),
        "region_mask": torch.tensor([[True] * 4, [True, False, True, True], [False, True, False, False]] * 2),
        "text": torch.randint(20, (6, 5), generator=generator) if words else text,
        "text_mask": torch.tensor([[True] * 5, [True, False, False, False, False], gap] * 2),
        "image_id": torch.tensor([0, 0, 1, 2, 3, 4]),
    }


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> SCAN:
    torch.manual_seed(0)
    return SCAN(encoder, SCANConfig(**changes), INPUTS)


def oracle(query: Vectors, context: Vectors, config: SCANConfig) -> float:
    """The score of one pair (SCAN, equations 3 to 10)."""
    seen = attended(query, context, config.attention_scale)
    relevance = [dot(q, unit(a)) for q, a in zip(query, seen, strict=True)]
    if config.pooling == "mean":
        return sum(relevance) / len(relevance)
    return math.log(sum(math.exp(config.pooling_scale * r) for r in relevance)) / config.pooling_scale


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_the_equations(form: dict[str, Any]) -> None:
    method = build(**form).double()
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    actual = method.similarity(texts, images)
    assert actual.shape == (4, 3)
    for i, words in enumerate(members(texts, TEXTS)):
        for j, regions in enumerate(members(images, IMAGES)):
            pair = (words, regions) if form["direction"] == "t2i" else (regions, words)
            assert actual[i, j].item() == pytest.approx(oracle(*pair, method.config), abs=1e-12)


def test_the_two_forms_differ_and_a_sum_over_words_grows_with_them() -> None:
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    t2i, i2t = (build(direction=way, attention_scale=4.0).similarity(texts, images) for way in ("t2i", "i2t"))
    assert (t2i - i2t).abs().max() > 0.01
    same = locals_of([1]).expand(-1, 4, -1)  # with one region there is nothing to choose between
    scores = [build().similarity(same[:, :count], images[2:, :1])[0, 0].item() for count in (1, 4)]
    assert scores[1] - scores[0] == pytest.approx(math.log(4) / 6)
    with pytest.raises(ValueError, match="no pooling 'sum'"):
        similarity.cross_attention(texts, images, 9.0, "sum", 6.0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_changes_no_score(form: dict[str, Any], dtype: torch.dtype) -> None:
    texts, images = locals_of(TEXTS).to(dtype), locals_of(IMAGES, seed=1).to(dtype)
    whole = build(**form).similarity(texts, images)
    wide = build(**form).similarity(locals_of(TEXTS, longest=9).to(dtype), locals_of(IMAGES, 5, 1, 7).to(dtype))
    torch.testing.assert_close(wide, whole, rtol=0, atol=1e-6)
    gaps = torch.stack([texts, torch.zeros_like(texts)], 2).flatten(1, 2)  # a row of zeros after each word
    torch.testing.assert_close(build(**form).similarity(gaps, images), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("words", [False, True], ids=["tokens", "words"])
def test_masked_words_and_regions_are_rows_of_zeros_and_the_others_unit_vectors(words: bool) -> None:
    encoder = EncoderConfig(dim=8, text=BiGRUText(word_dim=6)) if words else ENCODER
    method, given = build(encoder), batch(words)
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    torch.testing.assert_close(query.norm(dim=-1), given["text_mask"].float())
    torch.testing.assert_close(gallery.norm(dim=-1), given["region_mask"].float())
    if not words:
        linear = method.text.linear(given["text"])  # type: ignore[operator, union-attr]
        torch.testing.assert_close(query[0], normalize(linear[0], dim=-1))


def test_the_loss_is_the_triplet_loss_of_the_scores() -> None:
    method = build(mean_warmup_epochs=1)
    scores = method.similarity(method.encode_query(batch()), method.encode_gallery(batch()))
    negatives = batch()["image_id"][:, None] != batch()["image_id"]
    for epoch, hardest in ((0.5, False), (1.0, True)):
        expected = losses.triplet_loss(scores, negatives, 0.2, hardest)
        torch.testing.assert_close(method(batch(), StepContext(epoch, 3))["loss"], expected)
    assert build(mean_warmup_epochs=0)(batch())["loss"] == losses.triplet_loss(scores, negatives, 0.2, True)


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_trains_with_finite_gradients(form: dict[str, Any]) -> None:
    for words in (False, True):
        method = build(EncoderConfig(dim=8, text=BiGRUText(word_dim=6)) if words else ENCODER, **form)
        method(batch(words))["loss"].backward()
        for name, parameter in method.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name


def awkward() -> dict[str, tuple[Tensor, Tensor]]:
    """Captions and images whose lengths, norms or cosines stand where a formula has a corner."""
    texts, images = locals_of(TEXTS), locals_of(IMAGES, seed=1)
    first = texts[:, :1]
    axes = torch.eye(5, dtype=torch.float64)
    return {
        "one word": (locals_of([1, 1, 1]), images),
        "one region": (texts, locals_of([1, 1])),
        "equal words": (first.expand(-1, 3, -1), images),
        "all alike": (first[:1].expand(4, 3, -1), first[:1].expand(3, 2, -1)),
        "opposite regions": (first, torch.stack([first[0, 0], -first[0, 0]])[None]),
        "all orthogonal": (axes[None, :2], axes[None, 2:]),
        "no features": (torch.zeros(2, 3, 5).double(), torch.zeros(2, 2, 5).double()),
    }


@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("form", FORMS)
def test_scores_and_gradients_are_finite_in_every_corner(form: dict[str, Any], case: str) -> None:
    texts, images = (part.float().clone().requires_grad_() for part in awkward()[case])
    scores = build(**form).similarity(texts, images)
    scores.sum().backward()
    for value in (scores, texts.grad, images.grad):
        assert value is not None
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("form", FORMS)
def test_blocks_of_queries_give_the_scores_and_gradients_of_all_at_once(
    form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    # numbers of a MiB: all at once, single queries, a few; then two queries at a time, kept for the backward pass
    for numbers, captions in ((2**18, 32), (1, 32), (250, 32), (2**18, 2)):
        monkeypatch.setattr("raytrain.methods.cross_attention.base.CAPTIONS_AT_ONCE", captions)
        monkeypatch.setattr("raytrain.methods.cross_attention.base.NUMBERS_PER_MIB", numbers)
        method = build(memory_mib=1, **form)
        texts, images = locals_of(TEXTS).requires_grad_(), locals_of(IMAGES, seed=1).requires_grad_()
        scores = method.similarity(texts, images)
        scores.square().sum().backward()
        assert texts.grad is not None and images.grad is not None
        results.append((scores.detach(), texts.grad, images.grad))
    for other in results[1:]:
        for here, there in zip(results[0], other, strict=True):
            torch.testing.assert_close(there, here, rtol=0, atol=1e-12)


def test_scores_stay_float32_under_autocast() -> None:
    method, given = build(), batch()
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    whole = method.similarity(query, gallery)
    with torch.autocast("cpu", torch.bfloat16):
        assert method.similarity(query.bfloat16(), gallery).dtype == torch.float32
        torch.testing.assert_close(method.similarity(query, gallery), whole)
        method(given)["loss"].backward()
