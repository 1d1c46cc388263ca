"""Pages of contact sheets: one file, whole HTML, hits by words too, and captions that stay words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytrain.data.table import Table
from raytrain.errors import Problem
from raytrain.evaluation.contact_sheet import ContactSheet, write_sheet
from raytrain.review.contact_sheets.page import image_root, sheet_part, sheets_of_run, write_sheet_page
from tests.review.made_sheets import a_sheet

HOSTILE = "<script>alert(1)</script>\" onerror='x' {{ 7*7 }} &amp; https://example.org/a.png"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An image root in which "far.png" is missing."""
    for number in range(1, 6):
        Image.fromarray(np.full((30, 20, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("systems", [1, 2])
def test_the_page_is_one_whole_file_that_loads_nothing(images: Path, systems: int) -> None:
    html5lib = pytest.importorskip("html5lib")
    text = write_sheet_page(images / "page.html", [a_sheet(HOSTILE, systems)], images).read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert "<script" not in text and " onerror='" not in text and "{{ 7*7 }}" in text
    assert not re.search(r"(?:src|href)=\"(?!data:image/webp;base64,)|url\(|@import", text)
    assert text.count("<img ") == text.count(' alt="') == 10 * systems
    assert text.count('class="missing" role="img"') == systems + 1
    assert text.count("✓ right") + text.count("&#10003; right") - 1 == 3 * systems, "one of them in the explanation"
    assert "ight answer at rank 9 of 20" in text


def test_a_part_is_fit_for_another_page(images: Path) -> None:
    part = sheet_part([a_sheet()], images, 100_000, level=4)
    assert part.count("<h4>") == 2 and "<html" not in part and part.count("<details") == part.count("</details>") == 2
    assert sheet_part([], images, 100_000) == ""
    assert "<img " not in sheet_part([a_sheet()], images, 0)


def test_credits_of_the_pictures_stand_on_the_page_each_once(images: Path) -> None:
    few = a_sheet().model_dump() | {"credits": ["<b>Ann</b>, CC BY 4.0"]}
    sheets = [ContactSheet.model_validate(few)] * 2
    assert sheet_part(sheets, images, 100_000).count("Pictures: &lt;b&gt;Ann&lt;/b&gt;, CC BY 4.0.") == 1
    many = ContactSheet.model_validate(few | {"credits": [f"Author {number}" for number in range(9)]})
    text = write_sheet_page(images / "page.html", [many], images).read_text(encoding="utf-8")
    pytest.importorskip("html5lib").HTMLParser(strict=True).parse(text)
    assert "Credits of the pictures (9)" in text and text.count("<li>Author ") == 9


def test_sheets_stand_beside_evaluations_and_the_one_without_re_ranking_is_first(tmp_path: Path) -> None:
    evaluations = []
    for name, rerank in (("val.rerank", {"mode": "cross"}), ("val", None), ("test", None)):
        file = tmp_path / f"{name}.json"
        protocol = f"split/{name.partition('.')[0]}"
        evaluations.append({"file": str(file), "rerank": rerank, "protocol": protocol, "ranks_sha256": "a"})
        write_sheet(file, a_sheet(systems=2 if rerank else 1))
    assert [len(sheet.systems) for sheet in sheets_of_run(evaluations)] == [1, 1, 2]
    (tmp_path / "val.sheet.json").write_text('{"run": "')
    skipped: list[Problem] = []
    assert [len(sheet.systems) for sheet in sheets_of_run(evaluations, skipped)] == [1, 2]
    assert [Path(problem.file).name for problem in skipped] == ["val.sheet.json"]


def test_another_table_gives_no_pictures(table: Table, tmp_path: Path) -> None:
    assert image_root(table.path, table.fingerprint) == table.image_root
    assert image_root(table.path, "0" * 64) is None and image_root(tmp_path / "gone", "0" * 64) is None
