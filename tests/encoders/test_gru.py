"""The fast recurrence against the GRU's equations in plain loops, torch's own GRU, and numerical gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from raytrain.encoders.gru import BiGRU


def packed(lengths: list[int], features: int) -> PackedSequence:
    values = torch.randn(len(lengths), max(lengths), features, dtype=torch.float64)
    return pack_padded_sequence(values, torch.tensor(lengths), batch_first=True, enforce_sorted=False)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def one_direction(gru: BiGRU, end: str, words: list[list[float]]) -> list[list[float]]:
    """States of a sequence in the order of its words: reset, update and new gate, one number at a time."""
    weights = [gru.get_parameter(f"{name}_l0{end}").tolist() for name in ("weight_ih", "weight_hh")]
    biases = [gru.get_parameter(f"{name}_l0{end}").tolist() for name in ("bias_ih", "bias_hh")]
    size = gru.hidden_size
    state = [0.0] * size
    states = []
    for word in words:
        of_word, of_state = (
            [sum(w * x for w, x in zip(row, vector, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
            for weight, bias, vector in zip(weights, biases, (word, state), strict=True)
        )
        after = []
        for i in range(size):
            reset = sigmoid(of_word[i] + of_state[i])
            update = sigmoid(of_word[size + i] + of_state[size + i])
            new = math.tanh(of_word[2 * size + i] + reset * of_state[2 * size + i])
            after.append((1 - update) * new + update * state[i])
        state = after
        states.append(state)
    return states


@pytest.mark.parametrize("lengths", [[3, 1, 2], [1], [2, 2]])
def test_states_are_those_of_the_equations(lengths: list[int]) -> None:
    torch.manual_seed(0)
    gru = BiGRU(2, 3).double()
    words = packed(lengths, 2)
    states = words._replace(data=gru(words.data, words.batch_sizes))
    given, _ = pad_packed_sequence(words, batch_first=True)
    padded, _ = pad_packed_sequence(states, batch_first=True)
    for row, length in enumerate(lengths):
        sequence = given[row, :length].tolist()
        forward, backward = one_direction(gru, "", sequence), one_direction(gru, "_reverse", sequence[::-1])[::-1]
        for place in range(length):
            expected = [(a + b) / 2 for a, b in zip(forward[place], backward[place], strict=True)]
            assert padded[row, place].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("lengths", [[4, 1, 3, 3], [5], [1, 1, 1], [7, 2, 2, 6, 1]])
def test_states_and_every_gradient_equal_those_of_torchs_gru(lengths: list[int]) -> None:
    torch.manual_seed(0)
    ours = BiGRU(3, 4).double()
    torchs = nn.GRU(3, 4, bidirectional=True).double()
    torchs.load_state_dict(ours.state_dict())
    words = packed(lengths, 3)
    mine, theirs = words.data.clone().requires_grad_(), words.data.clone().requires_grad_()
    states = ours(mine, words.batch_sizes)
    both = torchs(PackedSequence(theirs, words.batch_sizes))[0].data
    expected = (both[:, :4] + both[:, 4:]) / 2
    torch.testing.assert_close(states, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(states)
    (states * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-12)
    for name, parameter in torchs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, rtol=0, atol=1e-12)


def test_the_recurrence_passes_a_numerical_gradient_check() -> None:
    torch.manual_seed(1)
    gru = BiGRU(2, 3).double()
    words = packed([3, 1, 2], 2)
    weights = list(gru.parameters())
    assert torch.autograd.gradcheck(
        lambda rows, *_: gru(rows, words.batch_sizes), (words.data.requires_grad_(), *weights), atol=1e-7
    )
