"""What stands beside the diagonal of square matrices."""

from __future__ import annotations

from torch import Tensor


def off_diagonal(squares: Tensor) -> Tensor:
    """(..., K, K) -> (..., K (K - 1)): all but the diagonal, row by row."""
    count = squares.shape[-1]
    if count < 2:
        return squares.flatten(-2)[..., :0]
    # without its last number a flattened matrix has a diagonal number every K + 1
    shifted = squares.flatten(-2)[..., :-1].reshape(*squares.shape[:-2], count - 1, count + 1)
    return shifted[..., 1:].flatten(-2)
