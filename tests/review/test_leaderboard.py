"""Rows from recorded runs: what is averaged, what is kept apart, what is escaped."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
from pathlib import Path

import pytest

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.leaderboard import IMAGE_TEXT, read_board, rows, write_leaderboard
from raytrain.review.page import to_html
from raytrain.review.tables import CSV_COLUMNS, to_csv, to_markdown, to_text
from raytrain.tracking.journal import Journal
from tests.review.made_runs import make_run

FR = Temperatures("cross", 20.0, None)


def test_runs_that_differ_only_by_seed_are_one_row_of_means(tmp_path: Path) -> None:
    made = [make_run(tmp_path / "e" / f"s{seed}", seed=seed) for seed in range(3)]
    make_run(tmp_path / "e" / "other", seed=0, **{"optim.lr": 1e-3})
    found = {tuple(row["runs"]): row for row in rows(tmp_path, "e")}
    assert set(found) == {("s0", "s1", "s2"), ("other",)}
    row = found["s0", "s1", "s2"]
    assert row["seeds"] == [0, 1, 2]
    assert row["val/rsum"] == pytest.approx(statistics.fmean(one["rsum"] for one in made))
    assert row["val/rsum_sd"] == pytest.approx(statistics.stdev(one["rsum"] for one in made))
    for name in (name for _, names in IMAGE_TEXT for name in names):  # of the best epoch, not of the last
        assert row[f"val/{name}"] == pytest.approx(statistics.fmean(one[name] for one in made))
    assert row["interval_split"] == "test"
    assert row["rsum_low"] < row["test/rsum"] < row["rsum_high"]
    assert row["worker_seconds"] == 30
    assert row["commit"] == "c0ffee123456+"
    assert " c0ffee1+ " in to_text(read_board(tmp_path))
    assert row["settings"] == "lr=0.0005"
    assert found["other",]["settings"] == "lr=0.001"
    assert found["other",]["val/rsum_sd"] is None


def test_rows_are_tested_against_the_first_that_is_re_ranked_alike(tmp_path: Path) -> None:
    for name, strength, more in (
        ("best", 2.0, {}),
        ("near", 1.95, {"optim.lr": 2e-3}),
        ("far", 1.0, {"optim.lr": 1e-3}),
    ):
        make_run(tmp_path / "e" / name, seed=0, strength=strength, temperatures=FR, **more)
    make_run(tmp_path / "e" / "unopened", seed=0, strength=0.9, test=None, **{"optim.lr": 3e-3})
    board = read_board(tmp_path)
    plain = {row["runs"][0]: row for row in board.rows if not row["transductive"]}
    first = min(plain.values(), key=lambda row: row["rank"])
    assert first["first"] is None and first["first_p"] is None
    far = plain["far"]
    assert (far["first"], far["first_split"]) == (first["rank"], "test")
    assert far["first_difference"] == pytest.approx(far["test/rsum"] - first["test/rsum"])
    assert far["first_low"] < far["first_difference"] < far["first_high"] < 0
    assert far["first_p"] == pytest.approx(3 / 10_001)  # the least of 10,000 draws, for three rows
    assert plain["unopened"]["first_split"] == "val"
    assert plain["unopened"]["first_difference"] == pytest.approx(plain["unopened"]["val/rsum"] - first["val/rsum"])
    transductive = [row for row in board.rows if row["transductive"]]
    assert {row["first"] for row in transductive} == {None, min(row["rank"] for row in transductive)}
    shown = f"{far['first_difference']:+.1f} [{far['first_low']:+.1f}, {far['first_high']:+.1f}] p < 0.001"
    assert shown in to_markdown(board) and "p &lt; 0.001" in to_html(board)


def test_an_evaluation_of_another_checkpoint_than_the_best_is_not_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "old", checkpoint="checkpoint_00000001", temperatures=FR)
    (row,) = rows(tmp_path)
    assert row["test/rsum"] is None
    assert row["val/rsum"] is not None  # of the journal


def test_of_a_seed_that_was_run_twice_the_later_run_counts(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "first", seed=3, strength=2.0)
    later = make_run(tmp_path / "e" / "again", seed=3, strength=1.0)
    make_run(tmp_path / "e" / "untested", seed=3, strength=3.0, test=None)
    (row,) = rows(tmp_path)
    assert row["runs"] == ["again"]
    assert row["val/rsum"] == pytest.approx(later["rsum"])
    assert row["test/rsum"] is not None


def test_a_run_from_before_a_field_existed_is_the_same_setting(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "old", seed=0)
    make_run(tmp_path / "e" / "new", seed=1, **{"optim.decay_epochs": [15], "method.orth_schedule": "adaptive"})
    (row,) = rows(tmp_path)
    assert row["seeds"] == [0, 1]


def test_validation_by_another_protocol_does_not_take_the_place_of_the_whole_split(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=FR)
    folder = tmp_path / "e" / "a" / "evaluation"
    other = json.loads((folder / "val.rerank.json").read_text()) | {"protocol": "karpathy/val"}
    other["metrics"] = dict.fromkeys(other["metrics"], 1.0)
    (folder / "val.aa.rerank.json").write_text(json.dumps(other))
    marked = next(row for row in rows(tmp_path) if row["transductive"])
    assert marked["val/rsum"] > 100


def test_rows_are_ordered_by_validation_and_re_ranked_ones_are_marked(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / "e" / f"good{seed}", seed=seed, strength=2.0, temperatures=FR)
        make_run(tmp_path / "e" / f"bad{seed}", seed=seed, strength=0.5, **{"method.kind": "vse_infinity"})
    found = rows(tmp_path)
    assert [row["rank"] for row in found] == [1, 2, 3]
    assert found == sorted(found, key=lambda row: -row["val/rsum"])
    marked = [row for row in found if row["transductive"]]
    assert [row["rerank"] for row in marked] == ["cross i2t 20 t2i off"]
    assert marked[0]["test/rsum"] is not None
    assert marked[0]["method"] == "dvse"


def test_a_test_score_under_other_temperatures_than_the_searched_ones_is_not_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=FR)
    path = tmp_path / "e" / "a" / "evaluation" / "test.rerank.json"
    document = json.loads(path.read_text())
    document["rerank"]["i2t"] = 170.0
    path.write_text(json.dumps(document))
    (row,) = (row for row in rows(tmp_path) if row["transductive"])
    assert row["val/rsum"] is not None
    assert row["test/rsum"] is None


def test_other_data_is_another_table_and_ranks_start_again(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    make_run(tmp_path / "e" / "b", fingerprint="b" * 64)
    make_run(tmp_path / "e" / "c", fingerprint="b" * 64, **{"optim.lr": 1.0})
    board = read_board(tmp_path)
    assert [[row["fingerprint"][0] for row in table] for table in board.tables] == [["a"], ["b", "b"]]
    assert [[row["rank"] for row in table] for table in board.tables] == [[1], [1, 2]]


def test_a_run_that_never_opened_the_test_split_stands_beside_those_that_did(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "tested", test="karpathy/test")
    make_run(tmp_path / "e" / "trial", test=None, **{"optim.lr": 1.0})
    (table,) = read_board(tmp_path).tables
    assert {row["protocol"] for row in table} == {"karpathy/test"}
    assert {row["runs"][0]: row["test/rsum"] is None for row in table} == {"tested": False, "trial": True}
    alone = next(row for row in table if row["runs"] == ["trial"])
    assert alone["interval_split"] == "val"


def test_a_row_shows_a_test_mean_only_when_every_seed_was_tested(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", seed=0)
    make_run(tmp_path / "e" / "b", seed=1, test=None)
    (row,) = rows(tmp_path)
    assert row["seeds"] == [0, 1]
    assert row["test/rsum"] is None


def test_what_did_not_finish_is_counted_and_not_ranked(tmp_path: Path) -> None:
    for name, status in (("done", "finished"), ("cut", "pruned"), ("broke", "failed"), ("goes-on", None)):
        make_run(tmp_path / "e" / name, status=status)
    Journal(tmp_path / "e" / "sweep").write("start", uid="s", kind="sweep", run="sweep", experiment="e", config={})
    board = read_board(tmp_path, "e")
    assert [row["runs"] for row in board.rows] == [["done"]]
    assert board.counts == {"finished": 1, "pruned": 1, "failed": 1, "open": 1}
    assert "1 failed, 1 finished, 1 open, 1 pruned; only finished runs are ranked" in to_text(board)


def test_no_runs_make_an_empty_board_in_every_form(tmp_path: Path) -> None:
    board = read_board(tmp_path)
    assert board.rows == []
    assert to_text(board) == "No runs."
    assert "No runs." in to_markdown(board)
    assert "No runs." in to_html(board)
    assert len(to_csv(board).splitlines()) == 1


def test_csv_comes_back_as_it_was_written(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", name='odd, "name"', temperatures=FR)
    board = read_board(tmp_path)
    read = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert len(read) == len(board.rows) == 2
    for line, row in zip(read, board.rows, strict=True):
        assert tuple(line) == CSV_COLUMNS
        assert float(line["val/rsum"]) == row["val/rsum"]
        assert line["runs"] == 'odd, "name"'
        assert line["seeds"] == "0"
        assert line["val/rsum_sd"] == ""
        assert line["transductive"] == str(row["transductive"])


def test_rows_that_differ_in_one_number_alone_make_a_curve(tmp_path: Path) -> None:
    for views in (1, 2, 4):
        for seed in (0, 1):
            make_run(tmp_path / "e" / f"k{views}-{seed}", seed, strength=views / 2, **{"method.views": views})
    make_run(tmp_path / "e" / "other", strength=3.0, **{"method.views": 8, "optim.lr": 1e-3})
    board = read_board(tmp_path)
    (curve,) = board.curves
    assert (curve.method, curve.setting) == ("dvse", "method.views")
    by_views = {row["views"]: row["val/rsum"] for row in board.rows}
    assert curve.points == [(views, by_views[views], 2) for views in (1, 2, 4)]
    page = to_html(board)
    assert "DVSE by method.views" in page
    assert "method.views = 2: " in page


def test_names_cannot_break_out_of_the_page_or_the_markdown(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    make_run(tmp_path / "e" / "a", name=evil, **{"note": f'"{evil}|', "method.kind": evil})
    make_run(tmp_path / "e" / "b", name='" onmouseover="x', **{"note": "b", "method.kind": evil})
    board = read_board(tmp_path)
    page = to_html(board)
    assert evil not in page
    assert '" onmouseover' not in page
    assert page.count("<script>") == 1  # our own
    assert not re.search(r"https?://|src=|@import", page)  # nothing is fetched
    assert "\\|" in to_markdown(board)


def test_the_command_writes_all_three_and_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "runs" / "e" / "a")
    found = write_leaderboard(tmp_path / "runs", None, tmp_path / "out")
    assert {Path(path).name for path in found["paths"]} == {"leaderboard.md", "leaderboard.csv", "leaderboard.html"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {Path(path).name for path in found["paths"]}
    assert json.loads(json.dumps(found))["rows"][0]["runs"] == ["a"]
    printed = capsys.readouterr().out
    assert "DVSE" in printed
    assert f"{found['rows'][0]['test/rsum']:.1f}" in printed


def test_the_page_draws_how_a_sweep_went_without_its_failed_trials(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    journal = Journal(tmp_path / "e" / "sweep")
    journal.write("start", uid="s", kind="sweep", run="sweep", experiment="e", config={})
    for number, (value, state) in enumerate(
        [(300.0, "complete"), (None, "failed"), (320.0, "pruned"), (310.0, "complete")]
    ):
        journal.write("trial", number=number, run=f"<t{number}>", params={}, state=state, value=value, epochs=1)
    write_leaderboard(tmp_path, "e", tmp_path / "out")
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    assert "Sweep e/sweep" in page
    assert re.findall(r"<title>&lt;t(\d)&gt;: ([\d.]+), (\w+)</title>", page) == [
        ("0", "300.00", "complete"),
        ("2", "320.00", "pruned"),
        ("3", "310.00", "complete"),
    ]
    only = next(path for path in (tmp_path / "out").iterdir() if path.suffix == ".csv")
    assert "sweep" not in only.read_text()
