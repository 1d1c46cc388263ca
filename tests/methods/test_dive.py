from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from raytrain import losses, similarity
from raytrain.config import BiGRUText, DivEConfig, EncoderConfig
from raytrain.encoders.pie_net import PIENet
from raytrain.encoders.set_prediction import SetPrediction, SlotBlock
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.dive import DivE, set_head

ENCODER = EncoderConfig(dim=8)
INPUTS = Inputs(region_features=6, token_features=5, words=20)


def batch(words: bool = False) -> dict[str, torch.Tensor]:
    """Three images with one, two and three captions."""
    generator = torch.Generator().manual_seed(0)
    text = torch.randn(6, 5, 5, generator=generator)
    return {
        "regions": torch.randn(3, 4, 6, generator=generator),
        "region_mask": torch.tensor([[True, True, True, False]] * 3),
        "text": torch.randint(20, (6, 5), generator=generator) if words else text,
        "text_mask": torch.tensor([[True] * 5, [True, True, True, False, False]] * 3),
        "image_id": torch.tensor([7, 4, 4, 9, 9, 9]),
        "item_id": torch.tensor([7, 4, 9]),
    }


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> DivE:
    torch.manual_seed(0)
    small = {"views": 3, "head_dim": 4, "iterations": 2, "dropout": 0.0}
    return DivE(encoder, DivEConfig(**{**small, **changes}), INPUTS)


def test_the_loss_is_the_sum_of_its_published_parts() -> None:
    method = build(alpha=8.0, mean_warmup_epochs=1)
    query, gallery = method.encode_query(batch()), method.encode_gallery(batch())
    positives = torch.tensor([[True, False, False], *[[False, True, False]] * 2, *[[False, False, True]] * 3])
    scores = similarity.smooth_chamfer(query, gallery, 8.0)
    torch.testing.assert_close(method.similarity(query, gallery), scores)
    text, image = (batch()[name] for name in ("text", "regions"))
    parts = (method.text(text, batch()["text_mask"])[1], method.image(image, batch()["region_mask"])[1])
    residuals = [torch.nn.functional.normalize(part, dim=-1) for part in parts]
    rest = 0.01 * losses.discrepancy_loss(gallery.flatten(0, 1), query.flatten(0, 1))
    rest = rest + 0.01 * sum(losses.exponential_diversity(part) for part in residuals)
    for epoch, mining in ((0.5, "mean"), (1.0, "hardest")):
        actual = method(batch(), StepContext(epoch, 4))
        expected = losses.set_triplet(scores, positives, 0.2, mining)
        torch.testing.assert_close(actual["triplet"], expected)
        torch.testing.assert_close(actual["loss"], expected + rest)


def switches() -> list[dict[str, Any]]:
    """Every choice of every named switch, one at a time."""
    changes: list[dict[str, Any]] = [
        {name: choice}
        for name, field in DivEConfig.model_fields.items()
        for choice in get_args(field.annotation)
        if name != "kind" and isinstance(choice, str)
    ]
    more: list[dict[str, Any]] = [{"shared_block": False}, {"text_global_linear": True}, {"alpha": 200.0}]
    return [*changes, *more, {"similarity": "match_probability", "match_trainable": False}]


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("change", switches(), ids=lambda change: "-".join(f"{k}={v}" for k, v in change.items()))
def test_every_switch_trains_every_parameter_with_finite_gradients(change: dict[str, Any], views: int) -> None:
    method = build(views=views, **change)
    actual = method(batch(), StepContext(5.0, 10))
    actual["loss"].backward()
    assert torch.isfinite(actual["loss"])
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("aggregator", ["slots", "transformer", "pie_net"])
def test_words_make_sets_too(aggregator: str) -> None:
    method = build(EncoderConfig(dim=8, text=BiGRUText(word_dim=6)), aggregator=aggregator)
    assert method.encode_query(batch(words=True)).shape == (6, 3, 8)
    method(batch(words=True))["loss"].backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


@pytest.mark.parametrize("aggregator", ["slots", "transformer", "pie_net"])
def test_a_head_takes_every_setting_of_the_config(aggregator: Any) -> None:
    """Values that differ from each other and from the defaults, so that none can stand in for another."""
    config = DivEConfig(
        aggregator=aggregator, views=3, iterations=2, shared_block=False, mask_mode="official", slots="sampled",
        heads=5, head_dim=7, dropout=0.25,
    )  # fmt: skip
    for positions in (False, True):
        head = set_head(config, features=6, dim=4, positions=positions)
        local, mask, whole = torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool), torch.randn(2, 4)
        assert [part.shape for part in head(local, mask, whole)] == [(2, 3, 4)] * 2
        rates = {module.p for module in head.modules() if isinstance(module, torch.nn.Dropout)}
        assert rates == {0.25}
        if isinstance(head, PIENet):
            assert aggregator == "pie_net"
            continue
        assert isinstance(head, SetPrediction)
        assert (head.iterations, head.positions, head.sampled, len(head.blocks)) == (2, positions, True, 2)
        for block in head.blocks:
            assert isinstance(block, SlotBlock)
            assert (block.attention, block.mask_mode, block.heads) == (aggregator, "official", 5)
            assert (block.key.in_features, block.key.out_features, block.out[0].out_features) == (6, 35, 4)


def test_batches_of_pairs_work_as_well() -> None:
    pairs = batch()
    pairs["regions"], pairs["region_mask"] = (pairs[n][[0, 1, 1, 2, 2, 2]] for n in ("regions", "region_mask"))
    del pairs["item_id"]
    method = build()
    whole, doubled = method(batch(), StepContext(9, 10)), method(pairs, StepContext(9, 10))
    # each caption now meets its image as often as the image has captions: 1 + 2 * 2 + 3 * 3 positive pairs
    assert torch.isfinite(doubled["loss"])
    assert whole["triplet"] != doubled["triplet"]


def test_match_probability_learns_its_scale_and_shift_unless_told_not_to() -> None:
    names = dict(build(similarity="match_probability").named_parameters())
    assert {"match_scale", "match_shift"} <= set(names)
    fixed = build(similarity="match_probability", match_trainable=False)
    assert "match_scale" not in dict(fixed.named_parameters())
    assert "match_scale" in fixed.state_dict()


def test_equal_embeddings_are_called_a_collapse_only_under_hardest_negatives() -> None:
    method = build(mean_warmup_epochs=1)
    assert method(batch(), StepContext(2, 4))["collapsed"] == 0
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
        for sets in (method.image.sets, method.text.sets):  # type: ignore[union-attr]
            sets.norm.bias.fill_(1.0)  # type: ignore[union-attr, operator]
    assert method(batch(), StepContext(2, 4))["triplet"].item() == pytest.approx(0.4)
    assert method(batch(), StepContext(2, 4))["collapsed"] == 1
    assert method(batch(), StepContext(0, 4))["collapsed"] == 0


@pytest.mark.parametrize("aggregator", ["slots", "transformer", "pie_net"])
@pytest.mark.parametrize("shared", [True, False])
def test_attention_over_the_regions_is_that_of_the_last_refinement(aggregator: str, shared: bool) -> None:
    method = build(aggregator=aggregator, shared_block=shared).eval()
    given = batch()
    attention = method.image_attention(given)
    assert attention.shape == (3, 3, 4)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 3), atol=1e-4, rtol=0)
    assert (attention[..., 3] == 0).all()  # a region that is missing
    seen: list[torch.Tensor] = []
    head = method.image.sets
    if isinstance(head, SetPrediction):
        for block in head.blocks:
            assert isinstance(block, SlotBlock)
            weights = block.weights
            block.weights = lambda *given, weights=weights: seen.append(weights(*given)) or seen[-1]  # type: ignore[method-assign, func-returns-value]
        method.encode_gallery(given)
        torch.testing.assert_close(attention, seen[-1].mean(1))
