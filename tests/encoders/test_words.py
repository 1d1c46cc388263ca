"""Captions as words: the quick recurrence against torch's own, and padding that changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from raytrain.encoders.gru import BiGRU
from raytrain.encoders.words import BiGRUCaptions


def packed(lengths: list[int], features: int) -> PackedSequence:
    values = torch.randn(len(lengths), max(lengths), features, dtype=torch.float64)
    return pack_padded_sequence(values, torch.tensor(lengths), batch_first=True, enforce_sorted=False)


@pytest.mark.parametrize("lengths", [[4, 1, 3, 3], [5], [1, 1, 1], [7, 2, 2, 6, 1]])
def test_states_and_every_gradient_equal_those_of_torchs_gru(lengths: list[int]) -> None:
    torch.manual_seed(0)
    ours = BiGRU(3, 4).double()
    torchs = nn.GRU(3, 4, bidirectional=True).double()
    torchs.load_state_dict(ours.state_dict())
    words = packed(lengths, 3)
    mine, theirs = words.data.clone().requires_grad_(), words.data.clone().requires_grad_()
    found = ours(mine, words.batch_sizes)
    both = torchs(PackedSequence(theirs, words.batch_sizes))[0].data
    expected = (both[:, :4] + both[:, 4:]) / 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
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


def test_captions_are_the_pooled_states_of_their_own_words_whatever_pads_them() -> None:
    torch.manual_seed(2)
    model = BiGRUCaptions(words=11, word_dim=3, dim=6, pool="mean").eval()
    words = torch.randint(0, 11, (3, 5))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    found = model(words, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        torchs = nn.GRU(3, 6, bidirectional=True)
        torchs.load_state_dict(model.gru.state_dict())
        states = torchs(model.embedding(words[row, :length])[:, None])[0][:, 0]
        mean = ((states[:, :6] + states[:, 6:]) / 2).mean(0)
        torch.testing.assert_close(found[row], mean / mean.norm())
    wider = model(nn.functional.pad(words, (0, 3)), nn.functional.pad(mask, (0, 3)))
    torch.testing.assert_close(wider, found)


def test_bfloat16_inputs_are_taken_under_autocast() -> None:
    model = BiGRUCaptions(words=11, word_dim=3, dim=6)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(torch.randint(0, 11, (2, 4)), torch.ones(2, 4, dtype=torch.bool))
        assert found.isfinite().all()
    found.float().sum().backward()
    assert model.gru.weight_hh_l0.grad is not None


@pytest.mark.parametrize("where", ["dropout", "state_dropout"])
def test_dropout_blanks_parts_of_words_in_training_alone(where: str) -> None:
    torch.manual_seed(3)
    encoder = BiGRUCaptions(words=9, word_dim=4, dim=3, gpo_dim=4, **{where: 0.5})  # type: ignore[arg-type]
    words, mask = torch.randint(0, 9, (5, 6)), torch.ones(5, 6, dtype=torch.bool)
    assert not torch.allclose(encoder(words, mask), encoder(words, mask))
    encoder.eval()
    assert torch.equal(encoder(words, mask), encoder(words, mask))
