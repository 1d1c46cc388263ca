"""Bottom-up-attention TSV."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.errors import DataError
from tests.data import own
from tests.data.own import SPLIT, TEXTS, captions_of, put


def test_a_tsv_of_base64_features_becomes_the_array_of_its_captions(tmp_path: Path) -> None:
    table = build("butd_tsv", own.butd_tsv(tmp_path / "root"), tmp_path / "table", dtype="float32", progress=None)
    assert table.items["id"].to_pylist() == [str(n) for n in range(8)]
    assert table.items["split"].to_pylist() == SPLIT
    assert table.texts["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(table.array("butd"), np.stack([own.features_of(n) for n in range(8)]))
    assert table.description["source"]["features_without_captions"] == 1
    assert check(table.path, None) == []
    half = build("butd_tsv", tmp_path / "root", tmp_path / "half", progress=None, texts_per_image=1)
    assert half.array("butd").dtype == np.float16 and len(half.texts) == 8


def test_a_tsv_goes_with_karpathys_json_too(tmp_path: Path) -> None:
    root = own.butd_tsv(tmp_path / "root")
    (root / "captions.jsonl").unlink()
    images = [
        {"filename": f"COCO_{n}.jpg", "cocoid": n, "split": SPLIT[n], "sentences": [{"raw": t} for t in captions_of(n)]}
        for n in range(8)
    ]
    put(root / "dataset_coco.json", json.dumps({"images": images}))
    table = build("butd_tsv", root, tmp_path / "table", dtype="float32", progress=None)
    assert table.texts["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(table.array("butd")[5], own.features_of(5))
    lines = (root / "a.tsv").read_text().splitlines(keepends=True)
    put(root / "a.tsv", "".join(lines[1:]))
    with pytest.raises(DataError, match="no features for image '7'"):
        build("butd_tsv", root, tmp_path / "b", progress=None)
    less = build("butd_tsv", root, tmp_path / "b", progress=None, allow_missing=0.2)
    assert (less.description["missing"], less.array("butd").shape) == (["7"], (7, own.REGIONS, own.WIDTH))
