"""The caption branches that a config names: their kinds, sizes, settings, and the transformer that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raytrain.config import BiGRUText, EncoderConfig, TransformerText
from raytrain.encoders.pooling import GPO, MaxPooling, MeanPooling
from raytrain.encoders.sets import TokenSets, WordSets
from raytrain.encoders.words import BiGRUCaptions, BiGRUWords, LinearTokens, TokenCaptions
from raytrain.methods.base import Inputs
from raytrain.methods.branches import load_transformer, text_encoder, text_sets, word_encoder
from tests.encoders.tiny_models import bert
from tests.methods.baselines import ENCODER, INPUTS, WORDS

MASK = torch.tensor([[True, True, True], [True, True, False]])
IDS = torch.tensor([[5, 6, 7], [8, 9, 0]])
STATES = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))


class Head(nn.Module):
    """A head of sets that remembers the size of its local features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        assert local.shape[-1] == self.features
        return whole[:, None], whole[:, None]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    """A config whose text model, 12 wide, trains with the rest."""
    path: Path = bert(tmp_path_factory.mktemp("models") / "bert")
    return EncoderConfig(dim=8, gpo_dim=4, text=TransformerText(path=str(path)))


def test_one_vector_per_caption_from_words_states_or_a_transformer(transformer: EncoderConfig) -> None:
    for config, kind, text in (
        (WORDS, BiGRUCaptions, IDS),
        (ENCODER, TokenCaptions, STATES),
        (transformer, TokenCaptions, IDS),
    ):
        branch = text_encoder(config, INPUTS)
        assert type(branch) is kind
        assert branch(text, MASK).shape == (2, 8)


def test_one_vector_per_word_from_words_states_or_a_transformer(transformer: EncoderConfig) -> None:
    for config, kind, text in (
        (WORDS, BiGRUWords, IDS),
        (ENCODER, LinearTokens, STATES),
        (transformer, LinearTokens, IDS),
    ):
        branch = word_encoder(config, INPUTS, dropout=0.3)
        assert type(branch) is kind
        vectors = branch(text, MASK)
        assert vectors.shape == (2, 3, 8)
        assert (vectors[1, 2] == 0).all()
        if isinstance(branch, BiGRUWords):
            assert branch.dropout.p == 0.3


def test_a_set_per_caption_from_words_states_or_a_transformer(transformer: EncoderConfig) -> None:
    """The head gets the size of the local features: word embeddings as they are, token states after a linear layer."""
    for config, kind, text, features in (
        (WORDS, WordSets, IDS, 6),
        (ENCODER, TokenSets, STATES, 8),
        (transformer, TokenSets, IDS, 8),
    ):
        branch = text_sets(config, INPUTS, Head, dropout=0.3, whole="cls", whole_linear=True)
        assert type(branch) is kind
        assert branch(text, MASK)[0].shape == (2, 1, 8)
        assert branch.sets.features == features
        if isinstance(branch, WordSets):
            assert branch.dropout.p == 0.3
        else:
            assert branch.whole == "cls" and isinstance(branch.whole_linear, nn.Linear)


@pytest.mark.parametrize(("pool", "kind"), [("gpo", GPO), ("mean", MeanPooling), ("max", MaxPooling)])
@pytest.mark.parametrize("words", [False, True], ids=["tokens", "words"])
def test_pooling_and_its_size_are_those_of_the_config(pool: Any, kind: type[nn.Module], words: bool) -> None:
    text = BiGRUText(word_dim=6, dropout=0.1, state_dropout=0.2)
    config = EncoderConfig(dim=8, gpo_dim=4, pooling=pool, **({"text": text} if words else {}))
    branch = text_encoder(config, INPUTS)
    assert type(branch.pool) is kind
    if isinstance(branch.pool, GPO):
        assert branch.pool.code_dim == branch.pool.gru.hidden_size == 4
    if isinstance(branch, BiGRUCaptions):
        assert (branch.dropout.p, branch.state_dropout.p) == (0.1, 0.2)


def test_every_parameter_of_a_transformer_that_wants_a_gradient_gets_one(transformer: EncoderConfig) -> None:
    """Its pooled output is not used: parameters of the pooler must want none, or DDP would wait for them."""
    assert isinstance(transformer.text, TransformerText)
    model, width = load_transformer(transformer.text)
    assert width == 12
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {
        name for name, _ in model.named_parameters() if "pooler" in name
    }
    branch = text_encoder(transformer, Inputs(region_features=6))
    branch(IDS, MASK).square().sum().backward()
    for name, parameter in branch.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
