"""Layers over the real members of padded sets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raytrain.encoders.padding import being_traced, map_real_rows

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
