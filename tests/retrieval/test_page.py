"""The page of a search."""

from __future__ import annotations

from pathlib import Path

from raytrain.retrieval import Retriever
from raytrain.retrieval.page import write_page
from tests.review.page_checks import check_page


def test_the_page_is_one_file_with_escaped_text(retriever: Retriever, tmp_path: Path) -> None:
    gallery = retriever.gallery()
    hits = retriever.search("a dog", k=3, gallery=gallery)
    answer = {
        "query": {"text": "<script>alert(1)</script>", "image": None, "item": None}, "run": "runs/a", "table": "t",
        "of": "images", "gallery": 16, "reranked": False, "notes": ["a <b>note</b>"],
    }  # fmt: skip
    text = write_page(tmp_path / "page.html", answer, gallery, hits, None).read_text(encoding="utf-8")
    assert "<script" not in text and "<b>note" not in text and "&lt;script&gt;" in text
    assert text.count('src="data:image/jpeg;base64,') == 3 and text.count(" alt=") == 3
    check_page(text)
