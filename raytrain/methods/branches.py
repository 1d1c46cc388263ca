"""Factories of the branches that a config names: images as views; captions as one vector, a set, or one per word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

from torch import nn

from raytrain.config import BiGRUText, EncoderConfig, HeadKind, TransformerText
from raytrain.encoders.heads import Head
from raytrain.encoders.regions import RegionViews
from raytrain.encoders.sets import TokenSets, WordSets
from raytrain.encoders.words import BiGRUCaptions, BiGRUWords, Captions, LinearTokens, TokenCaptions
from raytrain.methods.base import Inputs


def image_head(config: EncoderConfig, published: Literal["linear", "mlp"] = "mlp") -> Head:
    """The head of image features that the config names.

    Args:
        published: the kind that the method's paper has.
    """
    return _head(config, config.image_head, config.image_dropout, published)


def text_head(config: EncoderConfig) -> Head:
    """The head of token states that the config names; published methods have linear ones."""
    return _head(config, config.text_head, config.text_dropout, "linear")


def _head(config: EncoderConfig, kind: HeadKind, dropout: float, published: Literal["linear", "mlp"]) -> Head:
    own = published if kind == "method" else kind
    return Head(own, config.head_hidden, config.head_activation, config.head_norm, dropout)


def image_views(
    config: EncoderConfig,
    inputs: Inputs,
    views: int = 1,
    pool_sharing: Literal["shared", "per_view"] = "shared",
    pool: str | None = None,
) -> RegionViews:
    """The image branch that the config names, K views per image: (B, R, F), (B, R) -> (B, K, D).

    Args:
        views: K.
        pool_sharing: one pooling for all views, or one per view.
        pool: of regions, where it is not `config.pooling`.
    """
    return RegionViews(
        inputs.region_features,
        config.dim,
        views,
        pool or config.pooling,
        pool_sharing,
        config.gpo_dim,
        image_head(config),
    )


def text_encoder(config: EncoderConfig, inputs: Inputs) -> Captions:
    """The caption branch that the config names, one vector per caption: (B, T[, F]), (B, T) -> (B, D)."""
    text = config.text
    if isinstance(text, BiGRUText):
        assert inputs.words is not None
        return BiGRUCaptions(
            inputs.words, text.word_dim, config.dim, config.pooling, config.gpo_dim, text.dropout, text.state_dropout
        )
    if isinstance(text, TransformerText):
        transformer, width = load_transformer(text)
    else:
        assert inputs.token_features is not None
        transformer, width = None, inputs.token_features
    return TokenCaptions(
        width, config.dim, config.pooling, config.gpo_dim, transformer, text_head(config), config.text_pool_first
    )


def text_sets(
    encoder: EncoderConfig,
    inputs: Inputs,
    head: Callable[[int], nn.Module],
    dropout: float = 0.0,
    whole: Literal["max", "cls"] = "max",
    whole_linear: bool = False,
) -> nn.Module:
    """The caption branch that the config names, a set per caption: (S, T[, F]), (S, T) -> (S, K, D) twice, by the head.

    Args:
        encoder: its text branch and D.
        inputs: sizes of the data.
        head: size of the local features -> the module that makes sets of them.
        dropout: of words, see WordSets.
        whole, whole_linear: of token states, see TokenSets.
    """
    text, dim = encoder.text, encoder.dim
    if isinstance(text, BiGRUText):
        assert inputs.words is not None
        return WordSets(inputs.words, text.word_dim, dim, head(text.word_dim), dropout)
    token_head = head(dim)
    transformer, width = None, inputs.token_features
    if isinstance(text, TransformerText):
        transformer, width = load_transformer(text)
    assert width is not None
    return TokenSets(width, dim, token_head, whole, whole_linear, transformer, text_head(encoder))


def word_encoder(config: EncoderConfig, inputs: Inputs, dropout: float = 0.0) -> nn.Module:
    """The caption branch that the config names, one vector per word: (B, T[, F]), (B, T) -> (B, T, D), padding zero.

    Args:
        dropout: of word embeddings, where captions come as words.
    """
    text = config.text
    if isinstance(text, BiGRUText):
        assert inputs.words is not None
        return BiGRUWords(inputs.words, text.word_dim, config.dim, dropout)
    if isinstance(text, TransformerText):
        transformer, width = load_transformer(text)
        return LinearTokens(width, config.dim, transformer)
    assert inputs.token_features is not None
    return LinearTokens(inputs.token_features, config.dim)


def load_transformer(text: TransformerText) -> tuple[nn.Module, int]:
    """(text model that trains with the rest, width of its token states)."""
    from raytrain.encoders.tokens import load_text_model

    transformer, _ = load_text_model(text.path, text.recompute)
    for name, parameter in transformer.named_parameters():
        # pooled outputs are not used, and DDP waits for the gradient of every parameter that requires one
        parameter.requires_grad_("pooler" not in name)
    return transformer, int(cast(Any, transformer).config.hidden_size)
