"""index.json: read back as written; damage and other schemas are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import DataError
from raytrain.retrieval.index.manifest import IndexManifest, read_manifest

FILE = {"name": "embeddings-0a.npy", "bytes": 10, "sha256": "a" * 64}
FIELDS: dict[str, Any] = {
    "schema": 1, "raytrain": "0.1", "run": "/r", "method": "DVSE", "weights": "b" * 64, "table": "/t",
    "fingerprint": "c" * 64, "features": {"vit.npy": "d" * 64}, "of": "images", "split": None, "left_out": 0,
    "shape": [5, 4, 8], "embeddings": FILE, "entries": FILE | {"name": "entries-0a.arrow"},
    "candidates": {
        "kind": "sq8", "error": 0.01, "longest": 1.0, "file": FILE | {"name": "candidates-0a-sq8.faiss"},
        "measured": {"asked_by": "captions", "queries": 20, "k": 10, "proved": 15, "recall": 0.98},
    },
    "kept_out": ["i3"],
}  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    manifest = IndexManifest.model_validate(FIELDS)
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest and json.loads((tmp_path / "index.json").read_text()) == FIELDS
    assert manifest.vectors == 4 and len(manifest.files) == 3
    assert manifest.candidates and manifest.candidates.measured
    assert manifest.candidates.measured.recall_queries == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2, this version reads 1"),
        ({"shape": [0, 4]}, "holds nothing"),
        ({"embeddings": FILE | {"name": "../x.npy"}}, "field embeddings.name"),
        ({"weights": "short"}, "field weights"),
        ({"extra": 1}, "field extra"),
    ],
)
def test_damage_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(json.dumps(FIELDS | change))
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)
