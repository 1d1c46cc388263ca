"""Caption branches: vectors per word, pooled captions and last states, and padding that changes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_padded_sequence

from raytrain.encoders.heads import Head
from raytrain.encoders.words import (
    BiGRUCaptions,
    BiGRUWords,
    LastStateCaptions,
    LinearTokens,
    TokenCaptions,
    last_state,
)

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def test_captions_are_the_pooled_states_of_their_own_words_whatever_pads_them() -> None:
    torch.manual_seed(2)
    model = BiGRUCaptions(words=11, word_dim=3, dim=6, pool="mean").eval()
    words = torch.randint(0, 11, (3, 5))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)
    actual = model(words, mask)
    for row, length in enumerate(mask.sum(1).tolist()):
        torchs = nn.GRU(3, 6, bidirectional=True)
        torchs.load_state_dict(model.gru.state_dict())
        states = torchs(model.embedding(words[row, :length])[:, None])[0][:, 0]
        mean = ((states[:, :6] + states[:, 6:]) / 2).mean(0)
        torch.testing.assert_close(actual[row], mean / mean.norm())
    wider = model(nn.functional.pad(words, (0, 3)), nn.functional.pad(mask, (0, 3)))
    torch.testing.assert_close(wider, actual)


def test_bfloat16_inputs_are_taken_under_autocast() -> None:
    model = BiGRUCaptions(words=11, word_dim=3, dim=6)
    with torch.autocast("cpu", torch.bfloat16):
        actual = model(torch.randint(0, 11, (2, 4)), torch.ones(2, 4, dtype=torch.bool))
        assert actual.isfinite().all()
    actual.float().sum().backward()
    assert model.gru.weight_hh_l0.grad is not None


@pytest.mark.parametrize("where", ["dropout", "state_dropout"])
def test_dropout_blanks_parts_of_words_in_training_alone(where: str) -> None:
    torch.manual_seed(3)
    encoder = BiGRUCaptions(words=9, word_dim=4, dim=3, gpo_dim=4, **{where: 0.5})  # type: ignore[arg-type]
    words, mask = torch.randint(0, 9, (5, 6)), torch.ones(5, 6, dtype=torch.bool)
    assert not torch.allclose(encoder(words, mask), encoder(words, mask))
    encoder.eval()
    assert torch.equal(encoder(words, mask), encoder(words, mask))


@pytest.mark.parametrize("both", [False, True])
def test_a_caption_is_where_its_gru_ends_whatever_pads_it(both: bool) -> None:
    torch.manual_seed(0)
    model = LastStateCaptions(words=11, word_dim=3, dim=6, both=both)
    words = torch.randint(0, 11, (2, 4))
    actual = model(words, MASK)
    for row, length in enumerate((3, 1)):
        states = model.gru(model.embedding(words[row, :length])[None])[0][0]
        last = (states[-1, :6] + states[0, 6:]) / 2 if both else states[-1]
        torch.testing.assert_close(actual[row], last / last.norm())
    torch.testing.assert_close(model(pad(words, (0, 2)), pad(MASK, (0, 2))), actual)


def test_captions_do_not_depend_on_how_far_they_are_padded() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    words = BiGRUCaptions(20, 5, 8).eval()
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    torch.testing.assert_close(words(ids, mask)[1:], words(ids[1:, :2], mask[1:, :2]))
    tokens = TokenCaptions(6, 8).eval()
    states = torch.randn(2, 4, 6)
    torch.testing.assert_close(tokens(states, mask)[1:], tokens(states[1:, :2], mask[1:, :2]))


def test_vectors_per_word_are_the_states_of_real_words_and_zeros_at_padding() -> None:
    torch.manual_seed(0)
    model = BiGRUWords(words=11, word_dim=3, dim=6).eval()
    words = torch.randint(0, 11, (2, 4))
    vectors = model(words, MASK)
    assert vectors.shape == (2, 4, 6)
    for row, length in enumerate((3, 1)):
        torch.testing.assert_close(vectors[row, :length], model(words[row : row + 1, :length], MASK[:1, :length])[0])
        assert (vectors[row, length:] == 0).all()


@pytest.mark.parametrize("kind", [LinearTokens, TokenCaptions])
def test_ids_go_through_the_transformer_that_trains_and_states_are_taken_as_they_are(kind: Any) -> None:
    """A stand-in for a transformer: the states of an id are its row of a table."""

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 5)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            assert attention_mask.tolist() == MASK.long().tolist()
            return SimpleNamespace(last_hidden_state=self.table(input_ids))

    torch.manual_seed(0)
    transformer = Transformer()
    training, frozen = kind(5, 4, transformer=transformer), kind(5, 4)
    frozen.load_state_dict({name: value for name, value in training.state_dict().items() if "transformer" not in name})
    ids = torch.arange(8).view(2, 4)
    torch.testing.assert_close(training(ids, MASK), frozen(transformer.table(ids), MASK))
    training(ids, MASK).sum().backward()
    assert transformer.table.weight.grad is not None


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("lengths", [[4, 1, 3, 3], [2, 2], [1]])
def test_the_last_state_and_its_gradients_are_those_of_torchs_gru(lengths: list[int], both: bool) -> None:
    torch.manual_seed(0)
    gru = nn.GRU(3, 5, batch_first=True, bidirectional=both).double()
    rows = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    packed = pack_padded_sequence(rows, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected, actual = gru(packed)[1].mean(0), last_state(gru, rows, mask)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    slopes, of = torch.randn_like(actual), [rows, *gru.parameters()]
    gradients = (torch.autograd.grad((states * slopes).sum(), of) for states in (actual, expected))
    for given, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(given, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("head", "first"), [(Head("linear"), True), (Head("linear", dropout=0.1), False), (Head(), False)]
)
def test_the_linear_layer_of_a_mean_reads_one_row_per_caption(head: Head, first: bool) -> None:
    torch.manual_seed(0)
    model = TokenCaptions(6, 8, pool="mean", head=head).eval()
    assert model.pool_first is first
    states = torch.randn(2, 4, 6)
    lengths = MASK.sum(1).tolist()
    by_token = torch.stack([model.head(states[row, :length]).mean(0) for row, length in enumerate(lengths)])
    torch.testing.assert_close(model(states, MASK), torch.nn.functional.normalize(by_token, dim=-1))
