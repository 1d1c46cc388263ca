"""Caption branches: one vector per caption or per word, by a GRU over words or from a transformer's token states.

Letters: B batch, T words or tokens, F features, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from raytrain.encoders.dropout import Dropout
from raytrain.encoders.gru import BiGRU, directions
from raytrain.encoders.heads import LINEAR, Head
from raytrain.encoders.padding import being_traced, map_real_rows, members, pack, unpack
from raytrain.encoders.pooling import pooling
from raytrain.similarity.precision import l2_normalize


class BiGRUWords(nn.Module):
    """One vector per word: BiGRU over word embeddings, directions averaged (SCAN family, VSE-infinity).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word embedding.
        dim: D.
        dropout: rate, of the elements of word embeddings.
        state_dropout: rate, of the elements of the word vectors.
    """

    def __init__(self, words: int, word_dim: int, dim: int, dropout: float = 0.0, state_dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.state_dropout = Dropout(dropout), Dropout(state_dropout)
        self.embedding = nn.Embedding(words, word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.gru = BiGRU(word_dim, dim)

    def states(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, T, D), zeros at padding."""
        if being_traced():
            packed_rows = pack_padded_sequence(
                self.embedding(text), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
            )
            both, _ = pad_packed_sequence(self.gru.both_ways(packed_rows), batch_first=True)
            return both.view(*text.shape, 2, -1).mean(2)
        # only real words go through the recurrence
        words = pack(text, mask)
        return unpack(self.state_dropout(self.gru(self.dropout(self.embedding(words.data)), words.batch_sizes)), mask)

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """As `states`."""
        return self.states(text, mask)


class BiGRUCaptions(BiGRUWords):
    """One vector per caption: the word vectors, pooled (VSE-infinity, BiGRU text).

    Args:
        words, word_dim, dim, dropout, state_dropout: as in BiGRUWords.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
    """

    def __init__(
        self,
        words: int,
        word_dim: int,
        dim: int,
        pool: str = "gpo",
        gpo_dim: int = 32,
        dropout: float = 0.0,
        state_dropout: float = 0.0,
    ) -> None:
        super().__init__(words, word_dim, dim, dropout, state_dropout)
        self.width = self.dim = dim
        self.pool = pooling(pool, gpo_dim)

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and (B, T) -> (B, D), L2-normalised."""
        return l2_normalize(self.pool(states, mask), dim=-1)

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, D), L2-normalised."""
        return self.embed(self.states(text, mask), mask)


class LinearTokens(nn.Module):
    """One vector per token: Linear over the token states of a transformer.

    Args:
        features: F, width of a token state.
        dim: D.
        transformer: trained with the rest; None where batches hold the states of a frozen one.
    """

    def __init__(self, features: int, dim: int, transformer: nn.Module | None = None) -> None:
        super().__init__()
        self.transformer = transformer
        self.linear = nn.Linear(features, dim)

    def states(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) states as they are, or (B, T) token ids through the transformer that trains."""
        if self.transformer is None:
            return text
        return self.transformer(input_ids=text, attention_mask=mask.long()).last_hidden_state  # type: ignore[no-any-return]

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, T[, F]) states or ids and (B, T) bool mask -> (B, T, D), zeros where the mask is False."""
        return map_real_rows(self.linear, self.states(text, mask), mask)


class TokenCaptions(LinearTokens):
    """One vector per caption: the token vectors, pooled (VSE-infinity, BERT text).

    Args:
        features, dim, transformer: as in LinearTokens.
        pool: "gpo", "mean" or "max".
        gpo_dim: size of GPO's codes and hidden state.
        head: form of the layers from a state to its vector.
        pool_first: pool the states, so that the head reads one vector per caption and not one per token.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        pool: str = "gpo",
        gpo_dim: int = 32,
        transformer: nn.Module | None = None,
        head: Head = LINEAR,
        pool_first: bool = False,
    ) -> None:
        super().__init__(features, dim, transformer)
        self.width, self.dim = features, dim
        self.dropout = head.input_dropout()
        self.mlp = head.residual(features, dim) if head.kind == "mlp" else None
        self.pool = pooling(pool, gpo_dim)
        # the linear layer of a mean is the mean of the linear layer, for one row per caption instead of one per token
        self.pool_first = pool_first or (head.kind == "linear" and pool == "mean" and not head.dropout)

    def head(self, states: Tensor) -> Tensor:
        """(S, F) -> (S, D)"""
        states = self.dropout(states)
        base: Tensor = self.linear(states)
        return base if self.mlp is None else base + self.mlp(states)

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F) and (B, T) -> (B, D), L2-normalised."""
        if self.pool_first:
            return l2_normalize(self.head(self.pool(states, mask)), dim=-1)
        return l2_normalize(self.pool(map_real_rows(self.head, states, mask), mask), dim=-1)

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, T[, F]) states or ids and (B, T) bool mask -> (B, D), L2-normalised."""
        return self.embed(self.states(text, mask), mask)


Captions = BiGRUCaptions | TokenCaptions
"""One vector per caption in two steps: `states` (B, T, width), one row per token, and `embed` (B, dim)."""


class LastStateCaptions(nn.Module):
    """The last state of a GRU over word embeddings (VSE++, Faghri et al., BMVC 2018).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word embedding.
        dim: D.
        both: whether the GRU is bidirectional; its two last states are then averaged.
    """

    def __init__(self, words: int, word_dim: int, dim: int, both: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.gru = nn.GRU(word_dim, dim, batch_first=True, bidirectional=both)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, D), L2-normalised."""
        return l2_normalize(last_state(self.gru, self.embedding(words), mask), dim=-1)


def last_state(gru: nn.GRU, rows: Tensor, mask: Tensor) -> Tensor:
    """(B, T, F) and (B, T) bool mask, real rows first -> (B, D) last state of each direction, averaged."""
    if being_traced():  # an exporter keeps the states of a packed sequence, and not the last ones beside them
        packed = pack_padded_sequence(rows, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(gru(packed)[0], batch_first=True)
        states = states.view(*mask.shape, -1, gru.hidden_size)
        ends = (mask.sum(1) - 1)[:, None, None].expand(-1, 1, gru.hidden_size)
        forward = states[:, :, 0].gather(1, ends)
        return torch.cat([forward, states[:, :1, 1]], 1).mean(1) if gru.bidirectional else forward[:, 0]
    if rows.device.type == "cpu":  # as in BiGRU: torch's own GRU takes gradients of all words at each step
        return _last_states(gru, rows, mask)
    _, last = gru(pack(rows, mask))  # (directions, B, D)
    return last.mean(0)  # type: ignore[no-any-return]


def _last_states(gru: nn.GRU, rows: Tensor, mask: Tensor) -> Tensor:
    """As `last_state`: a sequence's last word has the last state of one direction, its first word that of the other."""
    packed, of_mask = pack(rows, mask), members(mask)
    assert packed.unsorted_indices is not None and packed.sorted_indices is not None
    sizes = packed.batch_sizes
    states = directions(gru, packed.data, sizes)
    starts = sizes.cumsum(0) - sizes
    order = torch.arange(len(mask))
    last_words = starts[of_mask.lengths[packed.sorted_indices] - 1] + order
    ends = [state.index_select(0, words) for state, words in zip(states, (last_words, order), strict=False)]
    return torch.stack(ends).mean(0).index_select(0, packed.unsorted_indices)
