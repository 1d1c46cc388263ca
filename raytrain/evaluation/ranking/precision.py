"""Ranks are of scores in float32 or wider: half precision has so few digits that near scores tie or change places."""

from __future__ import annotations

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)


def refuse_half(scores: Tensor) -> None:
    """Raises ValueError for scores in half precision, whose rounding a cast would keep."""
    if scores.dtype in HALF:
        raise ValueError(
            f"scores are {str(scores.dtype).removeprefix('torch.')}, in which near scores tie: compute them in float32 "
            "or float64, from embeddings that are cast before they are compared"
        )


def widened(embedded: Tensor) -> Tensor:
    """Embeddings in half precision as float32; any others as they are."""
    return embedded.float() if embedded.dtype in HALF else embedded
