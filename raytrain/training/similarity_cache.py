"""The validation similarities of a run's best epoch, kept for the search for re-ranking temperatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from raytrain.data.table import Split
from raytrain.files import replacing, sha256, write_json
from raytrain.training import checkpoint


class SimilarityFacts(BaseModel):
    """What the kept scores are. Fields that a newer version has added are kept.

    Args:
        item_of_text: of each row of the scores, the column of its image.
        sha256: of the file of scores.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    split: str
    fingerprint: str
    checkpoint: str
    protocol: str
    item_of_text: list[Annotated[int, Field(ge=0, lt=2**31)]]
    sha256: str


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
