"""A caption's likelihood given an image's regions, by a recurrent decoder with attention (VSRN's captioning loss).

Letters: B batch, R regions, T words, D dimensions of a region, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from raytrain.encoders.dropout import Dropout
from raytrain.encoders.padding import know, members, pack, real_members, spread, unpack


class CaptionDecoder(nn.Module):
    """-log p(caption | regions), each word given the regions and the words before it (VSRN, equation 8).

    A GRU reads the regions (sequence to sequence, as in video captioning); from its last state another GRU writes the
    words. At each word it takes the word before and a mean of the regions' states, weighted by a softmax of
    Linear(tanh(Linear([h; state]))).

    Args:
        words: size of the vocabulary.
        word_dim: size of a word embedding; the decoder has its own.
        dim: D.
        hidden: H.
        dropout: rate, of the inputs of both GRUs.
    """

    def __init__(self, words: int, word_dim: int, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(dim, hidden)
        self.reader = nn.GRU(hidden, hidden, batch_first=True)
        self.embedding = nn.Embedding(words, word_dim)
        self.from_hidden = nn.Linear(hidden, hidden)
        self.from_state = nn.Linear(hidden, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.writer = nn.GRUCell(word_dim + hidden, hidden)
        self.to_words = nn.Linear(hidden, words)

    def forward(self, regions: Tensor, region_mask: Tensor, words: Tensor, word_mask: Tensor) -> Tensor:
        """(B) sum over a caption's words of -log p, the first word (the start) given.

        Args:
            regions: (B, R, D).
            region_mask: (B, R) bool, real regions first.
            words: (B, T) ids.
            word_mask: (B, T) bool, real words first.
        """
        rows = self.dropout(self.project(regions))
        read, last = self.reader(pack(rows, region_mask))
        states = unpack(read.data, region_mask)
        keys, hidden, given = self.from_state(states), last[0], self.embedding(words[:, :-1])
        written = []
        for place in range(words.shape[1] - 1):
            logits = self.score(torch.tanh(keys + self.from_hidden(hidden)[:, None])).squeeze(-1)
            weights = logits.masked_fill(~region_mask, torch.finfo(logits.dtype).min).softmax(1)
            seen = (weights[:, None] @ states)[:, 0]
            hidden = self.writer(self.dropout(torch.cat([given[:, place], seen], 1)), hidden)
            written.append(hidden)
        real = know(word_mask[:, 1:], members(word_mask).real[:, 1:])
        # the vocabulary is wide: logits are made at real words only
        logits = self.to_words(real_members(torch.stack(written, 1), real)).float()
        costs = cross_entropy(logits, real_members(words[:, 1:], real), reduction="none")
        return spread(costs, real).sum(1)
