"""The branches that embed items as sets: local and global features against their formulas, and padding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raytrain.encoders.set_prediction import SetPrediction
from raytrain.encoders.sets import GridSets, RegionSets, TokenSets, WordSets

MASK = torch.tensor([[True, True, True, True], [True, True, True, False]])


class Recorder(nn.Module):
    """A head that keeps what it is given."""

    def forward(self, local: Tensor, mask: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        self.local, self.mask, self.whole = local, mask, whole
        return whole[:, None], whole[:, None]


def features(seed: int = 1) -> Tensor:
    return torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["regions", "grid", "words", "tokens", "tokens-cls"])
def test_encoders_of_sets_do_not_depend_on_padding(kind: str) -> None:
    torch.manual_seed(0)
    local = features()
    settings: dict[str, Any] = {"elements": 3, "iterations": 2, "heads": 2, "head_dim": 3}
    head = SetPrediction(6 if kind == "grid" else 4, 4, **settings)
    if kind == "regions":
        encoder: nn.Module = RegionSets(6, 4, head)
    elif kind == "grid":
        encoder = GridSets(6, 4, head)
    elif kind == "words":
        encoder, local = WordSets(9, 4, 4, head), torch.arange(8).view(2, 4)
    else:
        encoder = TokenSets(6, 4, head, whole="cls" if kind == "tokens-cls" else "max", whole_linear=kind == "tokens")
    sets = encoder.eval()(local, MASK)[0]
    assert sets.shape == (2, 3, 4)
    alone = encoder(local[1:, :3], MASK[1:, :3])[0]
    torch.testing.assert_close(sets[1:], alone)


def test_parameter_counts_of_regions_at_the_size_of_the_paper() -> None:
    with torch.device("meta"):
        image = RegionSets(2048, 1024, SetPrediction(1024, 1024))
    assert round(sum(parameter.numel() for parameter in image.parameters()) / 1e6, 2) == 19.95


def test_regions_are_a_linear_layer_and_a_residual_and_their_maximum_is_global() -> None:
    torch.manual_seed(0)
    head = Recorder()
    encoder = RegionSets(6, 4, head).eval()
    encoder(features(), MASK)
    for row, length in enumerate((4, 3)):
        base = encoder.base(features()[row, :length])
        expected = base + encoder.mlp(base)
        torch.testing.assert_close(head.local[row, :length], expected)
        columns = zip(*expected.tolist(), strict=True)
        assert head.whole[row].tolist() == pytest.approx([max(column) for column in columns])
    assert (head.local[1, 3] == 0).all()


def test_batch_norm_of_regions_sees_no_padding() -> None:
    torch.manual_seed(0)
    head = Recorder()
    encoder = RegionSets(6, 4, head, dropout=0.0)
    encoder(features(), MASK)
    plain = head.local
    encoder(torch.cat([features(), torch.full((2, 3, 6), 9.0)], 1), torch.cat([MASK, torch.zeros(2, 3) > 0], 1))
    torch.testing.assert_close(head.local[:, :4], plain)


def test_the_global_feature_of_a_grid_is_a_linear_layer_over_its_mean() -> None:
    head = Recorder()
    encoder = GridSets(6, 8, head)
    encoder(features(), MASK)
    assert head.local is not None and torch.equal(head.local, features())
    for row, length in enumerate((4, 3)):
        expected = encoder.linear(sum(features()[row, r] for r in range(length)) / length)
        torch.testing.assert_close(head.whole[row], expected)


def test_the_global_feature_of_words_is_the_mean_of_the_two_last_states() -> None:
    torch.manual_seed(0)
    head = Recorder()
    encoder = WordSets(9, 3, 4, head).eval()
    encoder(torch.tensor([[1, 2, 3], [4, 5, 0]]), torch.tensor([[True, True, True], [True, True, False]]))
    states, _ = encoder.gru(encoder.embedding(torch.tensor([[4, 5]])))
    torch.testing.assert_close(head.whole[1], (states[0, -1, :4] + states[0, 0, 4:]) / 2)
    torch.testing.assert_close(head.local[1, 1], encoder.embedding.weight[5])


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("whole", ["max", "cls"])
def test_the_global_feature_of_token_states_is_their_maximum_or_the_first(whole: Any, linear: bool) -> None:
    torch.manual_seed(0)
    head = Recorder()
    encoder = TokenSets(6, 4, head, whole, whole_linear=linear)
    encoder(features(), MASK)
    for row, length in enumerate((4, 3)):
        local = encoder.linear(features()[row, :length])
        torch.testing.assert_close(head.local[row, :length], local)
        expected = local[0] if whole == "cls" else local.amax(0)
        torch.testing.assert_close(head.whole[row], encoder.whole_linear(expected))
    assert isinstance(encoder.whole_linear, nn.Linear) == linear


def test_ids_go_through_the_transformer_that_trains() -> None:
    """A stand-in for a transformer: the states of an id are its row of a table, and it gets the mask as integers."""

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 6)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            assert attention_mask.tolist() == MASK.long().tolist()
            return SimpleNamespace(last_hidden_state=self.table(input_ids))

    transformer, head = Transformer(), Recorder()
    encoder = TokenSets(6, 4, head, transformer=transformer)
    ids = torch.arange(8).view(2, 4)
    encoder(ids, MASK)[0].sum().backward()
    torch.testing.assert_close(head.local, encoder.linear(transformer.table(ids)))
    assert transformer.table.weight.grad is not None
