"""Layers over the real members of padded sets: nothing is computed for padding, and padding is zero afterwards.

Letters: B batch, T members of a set (regions or tokens), F and D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def map_real_rows(layer: Callable[[Tensor], Tensor], rows: Tensor, mask: Tensor) -> Tensor:
    """(B, T, F) and (B, T) bool mask -> (B, T, ...): the layer's output where the mask is True, zeros elsewhere.

    Args:
        layer: (S, F) rows -> (S, ...), row by row in evaluation mode.
    """
    if being_traced():  # a graph whose shapes do not depend on the mask
        everywhere = layer(rows.flatten(0, 1))
        padding = ~mask.flatten().view(-1, *[1] * (everywhere.ndim - 1))
        return everywhere.masked_fill(padding, 0.0).view(*mask.shape, *everywhere.shape[1:])
    real = layer(rows[mask])
    padded = real.new_zeros(*mask.shape, *real.shape[1:])
    padded[mask] = real
    return padded


def being_traced() -> bool:
    """Whether torch records a graph for export at this moment, by either of its exporters."""
    return bool(torch.jit.is_tracing()) or torch.compiler.is_exporting()  # type: ignore[attr-defined, no-untyped-call]
