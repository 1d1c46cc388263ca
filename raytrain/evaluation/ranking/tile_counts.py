"""Counts of a tile of scores, compiled with numba: one pass over the scores for both directions.

torch compares the whole tile four times, and adds up four tiles of truth values. One thread does it here: threads take
longer to start than a tile to count. streaming.py imports this module where numba (the extra `fast`) is installed; the
counts are the same.

Letters: m texts, n images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from raytrain.similarity.compiled import compiled


def around(scores: Tensor, own: Tensor, best: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(m) scores above and (m) at least each text's own; (n) above and (n) at least each image's best; int64.

    Args:
        scores: (m, n) float32 on the CPU.
        own: (m) float32.
        best: (n) float32.
    """
    of_texts, of_images = (torch.zeros(2, count, dtype=torch.int32) for count in scores.shape)
    _count(scores.numpy(), own.numpy(), best.numpy(), of_texts.numpy(), of_images.numpy())
    return *of_texts.long(), *of_images.long()


@compiled
def _count(scores: Any, own: Any, best: Any, of_texts: Any, of_images: Any) -> None:
    above_best, least_best = of_images[0], of_images[1]
    for text in range(scores.shape[0]):
        row, limit = scores[text], own[text]
        above = least = 0
        for image in range(scores.shape[1]):
            above += row[image] > limit
            least += row[image] >= limit
        of_texts[0, text], of_texts[1, text] = above, least
        for image in range(scores.shape[1]):
            above_best[image] += row[image] > best[image]
            least_best[image] += row[image] >= best[image]
