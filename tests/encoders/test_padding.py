"""Layers over the real members of padded sets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from raytrain.encoders.padding import (
    being_traced,
    ends_of,
    know,
    know_ends,
    map_real_rows,
    members,
    pack,
    real_members,
    spread,
    unpack,
)
from tests.gpu.fake_gpu import FakeGPU

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def test_a_layer_is_applied_to_real_rows_only() -> None:
    rows = torch.arange(16.0).view(2, 4, 2)
    rows[0, 3] = torch.nan
    seen: list[Tensor] = []

    class Double(nn.Module):
        def forward(self, real: Tensor) -> Tensor:
            seen.append(real)
            return 2 * real

    mapped = map_real_rows(Double(), rows, MASK)
    assert seen[0].tolist() == [[0, 1], [2, 3], [4, 5], [8, 9]]
    assert mapped[0].tolist() == [[0, 2], [4, 6], [8, 10], [0, 0]]
    assert mapped[1].tolist() == [[16, 18], [0, 0], [0, 0], [0, 0]]


class Layer(nn.Module):
    """A linear layer over the real rows, with outputs of two dimensions; keeps whether it was traced."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.traced: list[bool] = []

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        self.traced.append(being_traced())
        return map_real_rows(lambda real: self.linear(real).view(-1, 3, 1), rows, mask)


def test_a_traced_layer_gives_the_same_rows() -> None:
    torch.manual_seed(0)
    layer, rows = Layer(), torch.randn(2, 4, 2)
    expected = layer(rows, MASK)
    graph = torch.jit.trace(layer, (rows, MASK), check_trace=False)
    torch.testing.assert_close(graph(rows, MASK), expected)
    assert layer.traced == [False, True] and not being_traced()


def test_what_the_host_knows_of_a_mask() -> None:
    of_mask = members(MASK)
    assert of_mask.lengths.tolist() == [3, 1] and of_mask.ends.tolist() == [3, 1]
    assert of_mask.places.tolist() == [0, 1, 2, 4]
    distinct, which = of_mask.distinct_lengths
    assert (distinct.tolist(), which.tolist()) == ([1, 3], [1, 0])
    assert not of_mask.all_real and members(MASK[:1, :3]).all_real
    assert members(torch.tensor([[True, False, True, False], [False] * 4])).ends.tolist() == [3, 1]


def test_packed_rows_are_torchs_own_and_come_back_to_their_places() -> None:
    mask = torch.arange(5) < torch.tensor([2, 5, 3])[:, None]
    rows = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0)) * mask[..., None]
    ours, theirs = pack(rows, mask), pack_padded_sequence(rows, mask.sum(1), batch_first=True, enforce_sorted=False)
    assert torch.equal(ours.data, theirs.data) and torch.equal(ours.batch_sizes, theirs.batch_sizes)
    assert torch.equal(unpack(ours.data, mask), rows)
    assert torch.equal(spread(real_members(rows, mask), mask), rows)


def test_a_gpu_is_not_asked_for_what_was_known_and_once_for_what_was_not(fake_gpu: FakeGPU) -> None:
    told, asked = (MASK.pin_memory().to(fake_gpu.device, non_blocking=True) for _ in range(2))
    know(told, MASK)
    for mask in (told, told, asked, asked):
        assert members(mask).places.values.tolist() == [0, 1, 2, 4]  # type: ignore[attr-defined]
    assert [wait.kind for wait in fake_gpu.waits] == ["copy to the host"]


def test_the_ends_of_local_features_are_those_of_their_last_real_rows(fake_gpu: FakeGPU) -> None:
    local = torch.tensor([[[1.0], [0.0], [2.0], [0.0]], [[3.0], [0.0], [0.0], [0.0]]])
    there = local.pin_memory().to(fake_gpu.device, non_blocking=True)
    assert ends_of(local).tolist() == [3, 1] and ends_of(there).tolist() == [3, 1]
    know_ends(there, torch.tensor([4, 4]))
    assert ends_of(there).tolist() == [4, 4]
    assert len(fake_gpu.waits) == 1
