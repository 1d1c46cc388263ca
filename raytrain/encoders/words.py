"""Captions as words: learned embeddings and a bidirectional GRU.

Letters: B batch, T words, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pack_padded_sequence

from raytrain.encoders.gru import BiGRU
from raytrain.encoders.pooling import pooling


class BiGRUWords(nn.Module):
    """A vector a word: BiGRU over word embeddings, directions averaged (SCAN family, VSE-infinity).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word's embedding.
        dim: D.
        dropout: of the embeddings.
    """

    def __init__(self, words: int, word_dim: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.gru = BiGRU(word_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, T, D), zeros at padding."""
        # padding is never computed: real words go through the recurrence by their place in the batch, and back
        places = torch.arange(words.numel(), device=words.device).view_as(words)
        packed = pack_padded_sequence(places, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states = self.gru(self.dropout(self.embedding(words.flatten()[packed.data])), packed.batch_sizes)
        padded: Tensor = states.new_zeros(words.numel(), states.shape[-1]).index_copy(0, packed.data, states)
        return padded.view(*words.shape, -1)


class BiGRUCaptions(BiGRUWords):
    """One vector a caption: the words' vectors, pooled (VSE-infinity, BiGRU text).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word's embedding.
        dim: D.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
    """

    def __init__(self, words: int, word_dim: int, dim: int, pool: str = "gpo", gpo_dim: int = 32) -> None:
        super().__init__(words, word_dim, dim)
        self.pool = pooling(pool, gpo_dim)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, D), L2-normalised."""
        return normalize(self.pool(super().forward(words, mask), mask), dim=-1)


class LinearTokens(nn.Module):
    """A vector a token from a transformer's token states: Linear.

    Args:
        features: F, width of a token state.
        dim: D.
        transformer: trained with the rest; None where batches hold the states of a frozen one.
    """

    def __init__(self, features: int, dim: int, transformer: nn.Module | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.linear = nn.Linear(features, dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) states, or (B, T) token ids where the transformer trains; (B, T) bool mask -> (B, T, D).

        Zeros where the mask is False.
        """
        if self.transformer is not None:
            tokens = self.transformer(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        real = self.linear(tokens[mask])
        padded: Tensor = real.new_zeros(*mask.shape, real.shape[-1])
        padded[mask] = real
        return padded


class TokenCaptions(LinearTokens):
    """One vector a caption: the tokens' vectors, pooled (VSE-infinity, BERT text).

    Args:
        features: F, width of a token state.
        dim: D.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
        transformer: trained with the rest; None where batches hold the states of a frozen one.
    """

    def __init__(
        self, features: int, dim: int, pool: str = "gpo", gpo_dim: int = 32, transformer: nn.Module | None = None
    ) -> None:
        super().__init__(features, dim, transformer)
        self.pool = pooling(pool, gpo_dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) states, or (B, T) token ids where the transformer trains; (B, T) bool mask -> (B, D)."""
        return normalize(self.pool(super().forward(tokens, mask), mask), dim=-1)
