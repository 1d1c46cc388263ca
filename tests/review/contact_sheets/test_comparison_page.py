"""The page of a comparison: its cells, and hostile names and settings as words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.review.contact_sheets.comparison_page import metric_rows, write_comparison_page
from tests.review.made_sheets import a_sheet

HOSTILE = "<img src=x onerror=alert(1)>"


def an_answer() -> dict[str, Any]:
    side = {"name": HOSTILE, "method": "DVSE", "seeds": [0], "runs": ["runs/a"]}
    return {
        "a": side, "b": side, "protocol": "split/val", "fingerprint": "f" * 64, "verdict": f"A ({HOSTILE}) leads",
        "metrics": {"rsum": {"a": 10.0, "b": 12.25, "difference": -2.25, "interval": [-4.0, -0.04], "p": 0.0001}},
        "covers": "images", "not_covered": "training noise is not covered", "settings": {"optim.lr": [1, HOSTILE]},
        "changes": {"t2i": {"a_better": 1, "b_better": 1_234, "equal": 3}},
    }  # fmt: skip


def test_the_page_is_whole_and_names_are_words(tmp_path: Path) -> None:
    html5lib = pytest.importorskip("html5lib")
    text = write_comparison_page(tmp_path / "p.html", an_answer(), a_sheet(systems=2), None).read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert "<img " not in text and "&lt;img src=x" in text
    assert "B for 1,234" in text and "Training noise is not covered." in text and "not covered" in text


def test_cells_have_signs_and_small_p_are_below() -> None:
    assert metric_rows(an_answer()) == [("rsum", "10.0", "12.2", "-2.2", "-4.0 to +0.0", "< 0.001")]
