"""The contact sheets of the runs of a leaderboard's row."""

from __future__ import annotations

import json
from pathlib import Path

from raytrain.evaluation.contact_sheet import write_sheet
from raytrain.review.write import read_leaderboard
from tests.review.made_runs import make_run
from tests.review.made_sheets import a_sheet
from tests.review.page_checks import check_page


def test_the_report_of_a_row_has_the_sheet_of_its_evaluation(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "e" / "seen")
    make_run(tmp_path / "runs" / "e" / "damaged", strength=0.5, **{"optim.lr": 1e-3})
    make_run(tmp_path / "runs" / "e" / "without", strength=2.0, **{"optim.lr": 2e-3})
    file = tmp_path / "runs" / "e" / "seen" / "evaluation" / "test.json"
    sheet = write_sheet(file, a_sheet("<b>a dog</b>", ranks_sha256=json.loads(file.read_text())["ranks_sha256"]))
    (tmp_path / "runs" / "e" / "damaged" / "evaluation" / sheet.name).write_text("{")
    board = read_leaderboard(tmp_path / "runs")
    board.write(tmp_path / "out")
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "out" / "reports" / "e").iterdir()}
    assert set(pages) == {"seen", "damaged", "without"}
    check_page(pages["seen"])
    assert "Contact sheets" in pages["seen"] and "&lt;b&gt;a dog&lt;/b&gt;" in pages["seen"]
    assert "Contact sheets" not in pages["damaged"] + pages["without"]
    assert any(sheet.name in str(problem["file"]) for problem in board.skipped)
