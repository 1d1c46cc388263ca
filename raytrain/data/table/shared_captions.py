"""Captions that several images share: retrieval counts every image but the caption's own as wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def shared_captions(captions: Sequence[str], owners: Iterable[int], splits: np.ndarray) -> dict[str, int]:
    """{"captions": number of distinct ones with several images, "across_splits": of these in several splits}.

    Upper and lower case are not told apart. {} if no caption is shared.

    Args:
        captions: N texts.
        owners: (N) row of each caption's image.
        splits: (images) names of the splits.
    """
    first: dict[str, int] = {}
    shared: set[str] = set()
    across: set[str] = set()
    for caption, owner in zip(map(str.lower, captions), np.asarray(owners).tolist(), strict=True):
        other = first.setdefault(caption, owner)
        if other != owner:
            shared.add(caption)
            if splits[other] != splits[owner]:
                across.add(caption)
    return {"captions": len(shared), "across_splits": len(across)} if shared else {}
