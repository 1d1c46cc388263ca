"""Captions that several images share are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raytrain.cli.main import main
from raytrain.data.table.shared_captions import shared_captions
from tests.data import own
from tests.data.own import put

SPLITS = np.array(["train", "train", "val"])


def test_a_caption_is_shared_by_different_images_whatever_its_case() -> None:
    captions = ["a dog", "A dog", "a cat", "a cat", "a bird", "a bird"]
    assert shared_captions(captions, [0, 1, 0, 0, 1, 2], SPLITS) == {"captions": 2, "across_splits": 1}
    assert shared_captions(captions[2:4], [0, 0], SPLITS) == {}


def test_a_build_tells_what_its_images_share(tmp_path: Path, capsys: object) -> None:
    root = own.captions(tmp_path / "root")
    rows = own.rows_of_captions()
    for row in (0, 2, 8):
        rows[row]["text"] = "a dog"
    put(root / "captions.csv", own.as_csv(rows))
    assert main(["data", "build", "captions", "--root", str(root), "--out", str(tmp_path / "t")]) == 0
    output = capsys.readouterr().out  # type: ignore[attr-defined]
    assert "captions that several images share: 1, 1 of them across splits" in output
