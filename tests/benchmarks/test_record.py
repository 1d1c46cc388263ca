"""Recording runs: folders are cut, and tables are named in words."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.record import full_page, in_words, readme_tables, record, shorten
from raytrain.review.board import Board
from raytrain.review.leaderboard import read_board
from tests.review.made_rows import made_row
from tests.review.made_runs import make_run

NAMES = {"a" * 12: "made-up pictures"}


def test_folders_are_cut_down_to_their_last_name() -> None:
    event = {
        "config": {"storage": "/x/runs", "data.table": "/y/flickr8k", "name": "/z/kept"},
        "files": [{"file": "/a/b"}],
    }
    assert shorten(event) == {
        "config": {"storage": "runs", "data.table": "flickr8k", "name": "/z/kept"}, "files": [{"file": "b"}],
    }  # fmt: skip


def test_a_recorded_run_gives_the_same_row_and_leaves_its_scores_behind(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "e" / "a", **{"data.table": "/somewhere/table"})
    record(tmp_path / "runs" / "e" / "a", tmp_path / "kept" / "e" / "a")
    (run,), (kept,) = (read_board(tmp_path / name).rows for name in ("runs", "kept"))
    assert (kept.val, kept.test, kept.interval) == (run.val, run.test, run.interval)
    assert kept.config["data.table"] == "table"
    assert not list((tmp_path / "kept").rglob("similarity*"))


def test_a_table_is_named_by_its_data_set_and_its_queries(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")  # 20 images of 3 captions
    (row,) = read_board(tmp_path).rows
    assert in_words([row], NAMES) == "Made-up pictures, 20 test images, 3 captions each"
    assert in_words([row], {}).startswith("Data aaaaaaaaaaaa, 20 test images")
    path = tmp_path / "e" / "a" / "evaluation" / "test.json"
    composed = json.loads(path.read_text()) | {"queries": {"query": 1944}, "gallery": {"query": 519}}
    path.write_text(json.dumps(composed))
    assert in_words([row], NAMES) == "Made-up pictures, 1,944 test queries over 519 images"
    assert in_words([made_row(folders=[str(tmp_path)])], NAMES) == "Made-up pictures, validation only"


def test_the_readme_has_the_rows_of_test_and_the_page_has_all(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "trial", strength=3.0, test=None, **{"optim.lr": 1e-3})
    make_run(tmp_path / "e" / "tested")
    make_run(tmp_path / "e" / "other", fingerprint="b" * 64, test=None)
    board = read_board(tmp_path)
    shown = {"aaaaaaaaaaaa": {"tested": "DVSE as it comes", "trial": "not on test"}, "bbbbbbbbbbbb": {"other": "other"}}
    short, page = readme_tables(board, NAMES, shown), full_page(board, NAMES)
    assert "| DVSE as it comes | 4 |" in short and "not on test" not in short and "| other" not in short
    assert short.count("**") == 2
    assert "|" not in readme_tables(board, NAMES, {})
    assert page.count("\n## ") == 2 and "lr=0.001" in page and "3 runs: 3 finished." in page
    assert "##" not in full_page(Board([], {}), NAMES)
