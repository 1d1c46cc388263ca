"""What search prints and hands on; searching itself is a stand-in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raytrain.cli.main import main

RESULT = {"rank": 1, "score": 0.5, "id": "7", "text": "a dog", "path": "/t/7.jpg", "split": "val", "query_view": None,
          "item_view": 1}  # fmt: skip
ANSWER: dict[str, Any] = {
    "run": "a", "table": "/t", "of": "images", "gallery": 1000, "reranked": False, "notes": ["a note"], "html": None,
    "results": [RESULT], "certainty": {"kind": "proved", "text": "proved exact: 12 were compared"},
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def search_run(*given: Any, **more: Any) -> dict[str, Any]:
        calls.append((given, more))
        return ANSWER | {"of": more["of"] or "images", "index": more["index"]}

    monkeypatch.setattr("raytrain.retrieval.search.search_run", search_run)
    return calls


def test_results_are_a_table_and_json_has_all(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a", "a red shoe", "-k", "3", "--rerank"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rank  score   view  id  file",
        "1     0.5000  2     7   /t/7.jpg",
        "1 of 1,000 images of /t",
        "  a note",
    ]
    assert asked[0][0] == ("a", "a red shoe", None, None)
    assert (asked[0][1]["k"], asked[0][1]["rerank"]) == (3, True)
    assert main(["search", "a", "--image", "x.jpg", "--to", "texts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"] == [RESULT]
    assert main(["search", "a", "a red shoe", "--index", "i"]) == 0
    assert asked[-1][1]["index"] == "i" and "  proved exact: 12 were compared" in capsys.readouterr().out.splitlines()


def test_images_stored_with_an_export_are_shown_by_their_captions(
    asked: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWER, "table", None)
    assert main(["search", "a", "a red shoe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "rank  score   view  id  caption", "1     0.5000  2     7   a dog", "1 of 1,000 images stored with a",
    ]  # fmt: skip
