"""Scores block by block are the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.retrieval.scores import Kind, scores_of
from raytrain.scoring.embed import score
from tests.retrieval.index.made import Compared, sets, views


@pytest.mark.parametrize("of", ["images", "texts"])
def test_memory_mapped_entries_in_blocks_score_as_all_at_once(
    of: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, images, texts = Compared(views("max")), sets(50, 3, 8, 0), sets(20, 1, 8, 1)[:, 0]
    queries, entries = (texts, images) if of == "images" else (images, texts)
    np.save(tmp_path / "entries.npy", entries.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "entries.npy", mmap_mode="c"))
    monkeypatch.setattr("raytrain.retrieval.scores.BLOCK_NUMBERS", 7 * 24)
    whole = score(method, texts, images)
    torch.testing.assert_close(scores_of(method, queries, mapped, of, 16.0), whole if of == "images" else whole.T)
