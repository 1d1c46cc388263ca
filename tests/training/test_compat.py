"""The private names of torch that training uses are there and do what they did."""

from __future__ import annotations

import torch

from raytrain.training.compat import move_towards


def test_tensors_move_as_lerp_moves_them() -> None:
    generator = torch.Generator().manual_seed(0)
    averages, values = ([torch.randn(3, n, generator=generator) for n in (1, 4)] for _ in range(2))
    expected = [average.lerp(value, 1 - 0.999) for average, value in zip(averages, values, strict=True)]
    move_towards(averages, values, 1 - 0.999)
    assert all(torch.equal(moved, wanted) for moved, wanted in zip(averages, expected, strict=True))
