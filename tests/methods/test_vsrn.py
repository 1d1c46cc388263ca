from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain import losses
from raytrain.config import BiGRUText, EncoderConfig, VSRNConfig
from raytrain.errors import UsageError
from raytrain.methods.base import StepContext
from raytrain.methods.vsrn import VSRN
from tests.methods.cross_attention.test_scan import ENCODER, INPUTS, batch

WORDS = EncoderConfig(dim=8, text=BiGRUText(word_dim=6))


def build(encoder: EncoderConfig = ENCODER, **changes: Any) -> VSRN:
    """With batch norms that do not leave the graph without effect."""
    torch.manual_seed(0)
    method = VSRN(encoder, VSRNConfig(**{"caption_dim": 5, "caption_dropout": 0.0, **changes}), INPUTS)
    for block in method.image.blocks:
        torch.nn.init.uniform_(block.norm.weight, 0.5, 1.5)  # type: ignore[union-attr, arg-type]
    return method


@pytest.mark.parametrize("encoder", [ENCODER, WORDS], ids=["tokens", "words"])
def test_embeddings_are_unit_vectors_and_scores_their_cosines(encoder: EncoderConfig) -> None:
    method, given = build(encoder), batch(words=encoder is WORDS)
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    assert query.shape == gallery.shape == (6, 8)
    torch.testing.assert_close(query.norm(dim=-1), torch.ones(6))
    torch.testing.assert_close(gallery.norm(dim=-1), torch.ones(6))
    torch.testing.assert_close(method.similarity(query, gallery), query @ gallery.T)


def test_the_loss_is_the_triplet_loss_and_the_weighted_cost_of_the_captions() -> None:
    method, given = build(WORDS, caption_weight=0.5, mean_warmup_epochs=1), batch(words=True)
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    negatives = given["image_id"][:, None] != given["image_id"]
    assert method.decoder is not None
    related, mask = method.image.related(given["regions"], given["region_mask"])
    caption = method.decoder(related, mask, given["text"], given["text_mask"]).mean()
    for epoch, hardest in ((0.5, False), (1.0, True)):
        triplet = losses.triplet_loss(query @ gallery.T, negatives, 0.2, hardest)
        parts = method(given, StepContext(epoch, 3))
        torch.testing.assert_close(parts["loss"], triplet + 0.5 * caption)
        torch.testing.assert_close(parts["triplet"], triplet.detach())
        torch.testing.assert_close(parts["caption"], caption.detach())


@pytest.mark.parametrize("changes", [{}, {"caption_weight": 1.0}, {"graph_norm": "regions"}, {"blocks": 0}])
def test_every_parameter_trains_with_finite_gradients(changes: dict[str, Any]) -> None:
    for words in (True, False):
        if changes.get("caption_weight") and not words:
            continue
        method = build(WORDS if words else ENCODER, **changes)
        parts = method(batch(words))
        assert parts.keys() == {"loss", "triplet"} | ({"caption"} if changes.get("caption_weight") else set())
        parts["loss"].backward()
        for name, parameter in method.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_token_states_have_no_words_to_predict_and_say_so() -> None:
    with pytest.raises(
        UsageError, match=r"caption_weight=1 .* encoder\.text\.kind=tokens has none; use .*=0, or .*bigru"
    ):
        build(caption_weight=1.0)
    assert build().decoder is None


def test_the_cost_of_captions_is_the_mean_over_all_ranks() -> None:
    method, given = build(WORDS, caption_weight=1.0), batch(words=True)

    def twice(rows: Tensor) -> Tensor:
        return torch.cat([rows, rows])

    alone, both = method(given), method(given, StepContext(gather=twice))
    torch.testing.assert_close(both["caption"], alone["caption"])
