"""Small matrices, grids and the two ways to compute, for the tests of the temperature search; sums in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from raytrain.evaluation.temperature_search.log_means import Grid, has_numba

needs_numba = pytest.mark.skipif(not has_numba(), reason="compiled loops need numba (extra `fast`)")
PATHS = [False, pytest.param(True, marks=needs_numba)]
SMALL = Grid(3.0, steps=4, octaves=3)


def made_up(texts: int, images: int, seed: int = 0, ties: bool = False) -> tuple[Tensor, Tensor]:
    """(M, N) float32 scores and owners in no order; with ties few distinct scores, and two images alike."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(texts, images, generator=generator) * 2 - 1
    owner = torch.randint(0, images, (texts,), generator=generator)
    scores[torch.arange(texts), owner] += 0.3
    if ties:
        scores = (scores * 4).round() / 4
        scores[:, -1] = scores[:, 0]
        scores[-1] = scores[0]
    return scores, owner


def log_mean_by_hand(values: list[float], scale: float) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(scale * (value - top)) for value in values) / len(values)) / scale


def place_by_hand(values: list[float], positives: list[int]) -> int:
    """Strictly better ones, and equal ones with a higher index than the best positive's highest."""
    if not positives:
        return -1
    best = max(values[i] for i in positives)
    place = max(i for i in positives if values[i] == best)
    return sum(value > best or (value == best and i > place) for i, value in enumerate(values))
