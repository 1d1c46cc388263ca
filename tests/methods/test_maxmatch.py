from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch.nn.functional import normalize

from raytrain import losses, similarity
from raytrain.config import BiGRUText, DivEConfig, EncoderConfig, MaxMatchConfig
from raytrain.methods.base import StepContext
from raytrain.methods.dive import DivE
from raytrain.methods.maxmatch import MaxMatch
from tests.methods.test_dive import ENCODER, INPUTS, batch

SMALL = {"views": 3, "head_dim": 4, "iterations": 2, "dropout": 0.0}
POSITIVES = torch.tensor([[True, False, False], *[[False, True, False]] * 2, *[[False, False, True]] * 3])
WORDS = EncoderConfig(dim=8, text=BiGRUText(word_dim=6))


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> MaxMatch:
    torch.manual_seed(0)
    return MaxMatch(encoder, MaxMatchConfig(**{**SMALL, **changes}), INPUTS)


@pytest.mark.parametrize("pair_score", ["mean", "exponential"])
def test_the_loss_is_the_sum_of_its_parts(pair_score: str) -> None:
    weights = {"global_weight": 0.3, "intra_weight": 0.2, "infonce_weight": 0.1, "temperature": 0.2}
    method = build(
        pair_score=pair_score, alpha=8.0, mean_warmup_epochs=1, global_margin=0.1, intra_margin=0.2, **weights
    )
    given = batch()
    query, text_residuals, text_whole = method.text(given["text"], given["text_mask"])
    gallery, image_residuals, image_whole = method.image(given["regions"], given["region_mask"])
    scores = similarity.best_assignment(query, gallery, 8.0 if pair_score == "exponential" else None)
    torch.testing.assert_close(method.similarity(query, gallery), scores)
    rest = 0.01 * losses.discrepancy_loss(gallery.flatten(0, 1), query.flatten(0, 1))
    for elements, residuals, whole in (
        (query, text_residuals, text_whole),
        (gallery, image_residuals, image_whole),
    ):
        rest = rest + 0.01 * losses.exponential_diversity(normalize(residuals, dim=-1))
        rest = rest + 0.3 * losses.global_discrimination(elements, normalize(whole, dim=-1), 0.1)
        rest = rest + 0.2 * losses.intra_set_divergence(elements, 0.2)
    rest = rest + 0.1 * losses.set_info_nce(scores, POSITIVES, 5.0)
    for epoch, mining in ((0.5, "mean"), (1.0, "hardest")):
        actual = method(given, StepContext(epoch, 4))
        expected = losses.set_triplet(scores, POSITIVES, 0.2, mining)
        torch.testing.assert_close(actual["triplet"], expected)
        torch.testing.assert_close(actual["loss"], expected + rest)


def test_without_its_own_parts_it_is_dive() -> None:
    off = {"global_weight": 0, "intra_weight": 0, "loss": "triplet", "similarity": "smooth_chamfer"}
    method = build(**off)
    torch.manual_seed(0)
    dive = DivE(ENCODER, DivEConfig(**SMALL), INPUTS)  # type: ignore[arg-type]
    assert [p.shape for p in method.parameters()] == [p.shape for p in dive.parameters()]
    torch.testing.assert_close(method(batch())["loss"], dive(batch())["loss"])
    assert method.lr_scales == dive.lr_scales


def test_a_search_may_take_the_closest_pairs_and_training_does_not() -> None:
    method, assigned = build(search_by="top_pairs"), build()
    query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
    torch.testing.assert_close(method.similarity(query, gallery), similarity.top_pairs(query, gallery))
    assert not torch.equal(method.similarity(query, gallery), assigned.similarity(query, gallery))
    torch.testing.assert_close(method(batch())["loss"], assigned(batch())["loss"])


def switches() -> list[dict[str, Any]]:
    """Every choice of every named switch that DivE has not."""
    own = [name for name in MaxMatchConfig.model_fields if name not in DivEConfig.model_fields or name == "similarity"]
    choices = [(name, choice) for name in own for choice in get_args(MaxMatchConfig.model_fields[name].annotation)]
    return [{"aggregator": "pie_net"}, *({name: choice} for name, choice in choices if isinstance(choice, str))]


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("change", switches(), ids=str)
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], views: int) -> None:
    for encoder in (ENCODER, WORDS):
        method = build(encoder, views=views, global_margin=-1.0, **change)
        actual = method(batch(words=encoder is WORDS), StepContext(5.0, 10))
        actual["loss"].backward()
        assert torch.isfinite(actual["loss"])
        assert not any(value.requires_grad for name, value in actual.items() if name != "loss")
        for name, parameter in method.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_attention_over_the_regions_is_the_heads() -> None:
    method = build().eval()
    attention = method.image_attention(batch())
    assert attention.shape == (3, 3, 4)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 3), atol=1e-4, rtol=0)
