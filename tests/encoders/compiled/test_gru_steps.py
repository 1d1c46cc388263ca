"""The compiled steps of a small GRU against torch's own GRU in float64, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

pytest.importorskip("numba", reason="needs the extra `fast`; without it torch computes each step")

from raytrain.encoders import gru as gru_module
from raytrain.encoders.gru import BiGRU


@pytest.mark.parametrize("lengths", [[5, 2, 1, 4], [3], [6, 6, 6]])
def test_states_and_every_gradient_equal_those_of_torchs_gru(lengths: list[int]) -> None:
    torch.manual_seed(0)
    ours, torchs = BiGRU(5, 16), nn.GRU(5, 16, bidirectional=True).double()
    assert gru_module._compiled(ours.weight_hh_l0) is not None
    torchs.load_state_dict(ours.state_dict())
    values = torch.randn(len(lengths), max(lengths), 5)
    words = pack_padded_sequence(values, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    mine, theirs = words.data.clone().requires_grad_(), words.data.double().requires_grad_()
    states = ours(mine, words.batch_sizes)
    both = torchs(PackedSequence(theirs, words.batch_sizes))[0].data
    expected = (both[:, :16] + both[:, 16:]) / 2
    slopes = torch.randn_like(states)
    given = torch.autograd.grad((states * slopes).sum(), [mine, *ours.parameters()])
    wanted = torch.autograd.grad((expected * slopes).sum(), [theirs, *torchs.parameters()])
    for actual, exact in zip((states, *given), (expected, *wanted), strict=True):
        assert float((actual - exact).detach().norm() / exact.detach().norm()) < 1e-6


@pytest.mark.parametrize(("hidden", "kind"), [(15, torch.float32), (65, torch.float32), (32, torch.float64)])
def test_other_sizes_and_types_are_torchs(hidden: int, kind: torch.dtype) -> None:
    assert gru_module._compiled(torch.zeros(3 * hidden, hidden, dtype=kind)) is None
