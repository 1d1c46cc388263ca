"""The validation similarities of a run's best epoch, kept for the search for re-ranking temperatures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from raytrain.data.table import Split
from raytrain.files import replacing, sha256, write_json
from raytrain.training import checkpoint


def keep_similarity(folder: Path, scores: Tensor, split: Split, step: int) -> Path:
    """Write scores to `<run>/evaluation/similarity_<split>.npy`, and what they are to a JSON file beside it.

    Args:
        folder: of the run.
        scores: (M, N) of the split's captions against its images.
        step: of the checkpoint they come from.

    Returns:
        the path of the scores.
    """
    target = folder / "evaluation" / f"similarity_{split.name}.npy"
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        np.save(part, np.asarray(scores.numpy(), np.float32), allow_pickle=False)
        digest = sha256(part)
    facts = {
        "split": split.name,
        "fingerprint": split.table.fingerprint,
        "checkpoint": checkpoint.name_of(step),
        "protocol": f"split/{split.name}",
        "item_of_text": split.item_of_text.tolist(),
        "sha256": digest,
    }
    write_json(target.with_suffix(".json"), facts)
    return target
