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


class BiGRUCaptions(nn.Module):
    """One vector a caption: BiGRU over word embeddings, directions averaged, pooled (VSE-infinity, BiGRU text).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word's embedding.
        dim: D.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
        dropout: of the words' embeddings, element by element.
    """

    def __init__(
        self, words: int, word_dim: int, dim: int, pool: str = "gpo", gpo_dim: int = 32, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(words, word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.gru = BiGRU(word_dim, dim)
        self.pool = pooling(pool, gpo_dim)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, D), L2-normalised."""
        # padding is never computed: real words go through the recurrence by their place in the batch, and back
        places = torch.arange(words.numel(), device=words.device).view_as(words)
        packed = pack_padded_sequence(places, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        rows = self.dropout(self.embedding(words.flatten()[packed.data]))
        states = self.gru(rows, packed.batch_sizes)
        padded = states.new_zeros(words.numel(), states.shape[-1]).index_copy(0, packed.data, states)
        return normalize(self.pool(padded.view(*words.shape, -1), mask), dim=-1)


class TokenCaptions(nn.Module):
    """One vector a caption from a transformer's token states: Linear, pooled (VSE-infinity, BERT text).

    Args:
        features: F, width of a token state.
        dim: D.
        transformer: trained with the rest; None where batches hold the states of a frozen one.
    """

    def __init__(
        self, features: int, dim: int, pool: str = "gpo", gpo_dim: int = 32, transformer: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.linear = nn.Linear(features, dim)
        self.pool = pooling(pool, gpo_dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) states, or (B, T) token ids where the transformer trains; (B, T) bool mask -> (B, D)."""
        if self.transformer is not None:
            tokens = self.transformer(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        real = self.linear(tokens[mask])
        padded = real.new_zeros(*mask.shape, real.shape[-1])
        padded[mask] = real
        return normalize(self.pool(padded, mask), dim=-1)
