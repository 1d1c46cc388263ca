"""What index prints and hands on; making one is a stand-in."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main

MEASURED = {"asked_by": "captions", "queries": 200, "k": 10, "proved": 190, "recall": 0.98}
ANSWER: dict[str, Any] = {
    "index": "/i", "items": 1000, "bytes": 4_100_000, "of": "images", "left_out": 2, "kept": 900, "embedded": 100,
    "removed": 5, "kept_out": 3, "faiss": "sq8", "measured": MEASURED,
}  # fmt: skip


def test_what_was_done_is_printed_and_json_has_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def index_run(*given: Any, **more: Any) -> dict[str, Any]:
        calls.append((given, more))
        return ANSWER

    monkeypatch.setattr("raytrain.retrieval.indexing.index_run.index_run", index_run)
    assert main(["index", "a", "--table", "t", "--out", "i", "--faiss", "sq8", "--of", "images"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "/i: 1,000 images, 4.1 MB (900 kept, 100 embedded, 5 removed)",
        "  2 images without features are left out",
        "  3 ids that were removed are kept out",
        "  sq8: 190 of 200 captions proved exact, recall at 10 of the others 0.980",
    ]
    expected = {
        "of": "images", "split": None, "faiss": "sq8", "remove_ids": None, "device": None, "shard_items": 2048,
    }  # fmt: skip
    assert calls == [(("a", "t", "i"), expected)]
    assert main(["index", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 1000


def test_workers_embed_on_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def index_on_ray(*given: Any, **more: Any) -> dict[str, Any]:
        calls.append((given, more["table"]))
        return ANSWER | {"measured": None}

    monkeypatch.setitem(sys.modules, "raytrain.cluster.index", SimpleNamespace(index_on_ray=index_on_ray))
    assert main(["index", "a", "--workers", "2", "--table", "t"]) == 0
    assert calls == [(("a", 2), "t")]
