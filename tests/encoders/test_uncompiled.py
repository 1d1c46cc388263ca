"""Functions that torch.compile leaves alone."""

from __future__ import annotations

import torch
from torch import Tensor

from raytrain.encoders.uncompiled import uncompiled


@uncompiled
def doubled(rows: Tensor) -> Tensor:
    """Twice; the loop would be compiled for each length."""
    assert not torch.compiler.is_compiling()
    return torch.stack([2 * row for row in rows])


def test_a_compiled_caller_runs_it_as_it_is() -> None:
    def called(rows: Tensor) -> Tensor:
        return doubled(rows + 1) * 3

    compiled = torch.compile(called, backend="eager")
    for length in (2, 3, 4):
        rows = torch.arange(float(length))
        torch.testing.assert_close(compiled(rows), called(rows))
    assert doubled.__doc__ is not None and doubled.__name__ == "doubled"
