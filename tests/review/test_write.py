"""The files of the leaderboard, and what is printed beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from raytrain.review.write import read_leaderboard
from raytrain.tracking.journal import Journal
from tests.review.made_runs import CROSS, make_run
from tests.review.made_sweeps import PRICES, small_sweep
from tests.review.page_checks import check_page


def test_four_files_are_written_and_the_table_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "runs" / "e" / "a")
    board = read_leaderboard(tmp_path / "runs")
    paths = board.write(tmp_path / "out")
    names = {"leaderboard.md", "leaderboard.csv", "leaderboard.tex", "leaderboard.html"}
    assert {Path(path).name for path in paths} == names
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"reports"}  # and no unfinished part
    assert json.loads(json.dumps(board.rows))[0]["runs"] == ["a"]
    assert "DVSE" in board.text and f"{board.rows[0]['test/rsum']:.1f}" in board.text
    assert capsys.readouterr().out == ""


def test_sweeps_stand_on_the_page_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    journal = Journal(tmp_path / "e" / "search")
    journal.write("start", uid="s", kind="sweep", run="search", experiment="e", config={})
    journal.write("trial", number=0, run="t0", params={}, state="complete", value=300.0, epochs=1)
    read_leaderboard(tmp_path, "e").write(tmp_path)
    assert "sweep e/search" in (tmp_path / "leaderboard.html").read_text(encoding="utf-8")
    for suffix in ("csv", "md", "tex"):
        assert "search" not in (tmp_path / f"leaderboard.{suffix}").read_text(encoding="utf-8")


def test_costs_of_sweeps_are_part_of_the_answer_and_of_the_page(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    board = read_leaderboard(tmp_path, "e", PRICES)
    board.write(tmp_path / "out")
    assert board.sweeps[0]["money"] == pytest.approx(0.32)
    assert "0.80 EUR" in (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")


def test_each_row_links_to_the_report_of_its_runs(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "e"
    make_run(folder / "a b", temperatures=CROSS)  # two rows of one run
    make_run(folder / "c", strength=0.5, **{"optim.lr": 1e-3})
    read_leaderboard(tmp_path / "runs").write(tmp_path / "out")
    page = (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="(reports[^"]*)"', page) == [
        "reports/e/a%20b.html", "reports/e/a%20b.html", "reports/e/c.html",
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "out" / "reports" / "e").iterdir()} == {"a b.html", "c.html"}
    report = (tmp_path / "out" / "reports" / "e" / "c.html").read_text(encoding="utf-8")
    check_page(report)
    assert "It is 2 of the 2 rows that are re-ranked alike" in report
