"""What stands beside the diagonal."""

from __future__ import annotations

import pytest
import torch

from raytrain.losses.off_diagonal import off_diagonal


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_but_the_diagonal_row_by_row(count: int) -> None:
    squares = torch.arange(3.0 * count * count).view(3, count, count)
    expected = squares[:, ~torch.eye(count, dtype=torch.bool)]
    assert torch.equal(off_diagonal(squares), expected)
    assert torch.equal(off_diagonal(squares[1]), expected[1])
