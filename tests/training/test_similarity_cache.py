"""The validation similarities that a run keeps for the search for re-ranking temperatures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from raytrain.data.table import Table
from raytrain.files import sha256
from raytrain.training.similarity_cache import keep_similarity


def test_scores_are_kept_with_what_they_are(table: Table, tmp_path: Path) -> None:
    val = table.split("val")
    scores = torch.rand(len(val.texts), len(val.items), generator=torch.Generator().manual_seed(0))
    path = keep_similarity(tmp_path, scores, val, step=12)
    assert path == tmp_path / "evaluation" / "similarity_val.npy"
    assert np.array_equal(np.load(path, allow_pickle=False), scores.numpy())
    assert json.loads(path.with_suffix(".json").read_text()) == {
        "split": "val",
        "fingerprint": table.fingerprint,
        "checkpoint": "checkpoint_00000012",
        "protocol": "split/val",
        "item_of_text": val.item_of_text.tolist(),
        "sha256": sha256(path),
    }


def test_a_better_epoch_replaces_the_scores_and_leaves_nothing_else(table: Table, tmp_path: Path) -> None:
    val = table.split("val")
    scores = torch.zeros(len(val.texts), len(val.items), dtype=torch.float64)
    keep_similarity(tmp_path, scores, val, step=3)
    path = keep_similarity(tmp_path, scores + 1, val, step=6)
    assert sorted(file.name for file in path.parent.iterdir()) == ["similarity_val.json", "similarity_val.npy"]
    kept = np.load(path, allow_pickle=False)
    assert kept.dtype == np.float32 and (kept == 1).all()
    facts = json.loads(path.with_suffix(".json").read_text())
    assert (facts["checkpoint"], facts["sha256"]) == ("checkpoint_00000006", sha256(path))
