from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from raytrain.encoders.caption_decoder import CaptionDecoder
from tests.encoders.local_features import Vectors, affine, dot, sigmoid

REGIONS = torch.tensor([[True, True, True], [True, False, False]])
WORDS = torch.tensor([[True] * 5, [True, True, True, False, False]])


def build() -> CaptionDecoder:
    torch.manual_seed(0)
    return CaptionDecoder(words=7, word_dim=3, dim=4, hidden=5, dropout=0.5).double().eval()


def given() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    regions = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator) * REGIONS[..., None]
    return regions, torch.randint(7, (2, 5), generator=generator)


def gru(weights: list[Tensor], x: list[float], h: list[float]) -> list[float]:
    """h' = (1 - z) n + z h."""
    from_x, from_h, bias_x, bias_h = (part.tolist() for part in weights)
    a = [dot(row, x) + b for row, b in zip(from_x, bias_x, strict=True)]
    c = [dot(row, h) + b for row, b in zip(from_h, bias_h, strict=True)]
    size, after = len(h), []
    for d in range(size):
        reset, update = sigmoid(a[d] + c[d]), sigmoid(a[size + d] + c[size + d])
        new = math.tanh(a[2 * size + d] + reset * c[2 * size + d])
        after.append((1 - update) * new + update * h[d])
    return after


def cost(decoder: CaptionDecoder, regions: Vectors, words: list[int]) -> float:
    """- sum over words of log p(word | regions, words before), one word at a time (VSRN, equation 8)."""
    reader = [getattr(decoder.reader, f"{kind}_l0") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    writer = [getattr(decoder.writer, kind) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    hidden, states = [0.0] * 5, []
    for region in regions:
        hidden = gru(reader, affine(decoder.project, region), hidden)
        states.append(hidden)
    total = 0.0
    for before, word in pairwise(words):
        logits = []
        for state in states:
            key = [dot(row, state) for row in decoder.from_state.weight.tolist()]
            mixed = [math.tanh(x + y) for x, y in zip(key, affine(decoder.from_hidden, hidden), strict=True)]
            logits.append(dot(decoder.score.weight[0].tolist(), mixed))
        powers = [math.exp(x) for x in logits]
        seen = [sum(p * s[d] for p, s in zip(powers, states, strict=True)) / sum(powers) for d in range(5)]
        hidden = gru(writer, decoder.embedding.weight[before].tolist() + seen, hidden)
        scores = affine(decoder.to_words, hidden)
        total += math.log(sum(math.exp(x) for x in scores)) - scores[word]
    return total


def test_costs_are_those_of_one_word_after_the_other() -> None:
    decoder, (regions, words) = build(), given()
    actual = decoder(regions, REGIONS, words, WORDS)
    for i in range(2):
        expected = cost(decoder, regions[i, REGIONS[i]].tolist(), words[i, WORDS[i]].tolist())
        assert actual[i].item() == pytest.approx(expected, rel=1e-5)


def test_padding_changes_no_cost_and_every_parameter_trains() -> None:
    decoder, (regions, words) = build(), given()
    short = decoder(regions[1:, :1], REGIONS[1:, :1], words[1:, :3], WORDS[1:, :3])
    whole = decoder(regions, REGIONS, words, WORDS)
    torch.testing.assert_close(short[0], whole[1])
    whole.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in decoder.parameters())
    assert isinstance(decoder.writer, nn.GRUCell)
