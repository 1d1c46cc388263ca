"""Rows from recorded runs: what is averaged, what is kept apart, what is ranked."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.board import IMAGE_TEXT
from raytrain.review.columns import as_dict
from raytrain.review.leaderboard import read_board
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_csv, to_latex, to_markdown, to_text
from raytrain.review.write import read_leaderboard
from raytrain.tracking.journal import Journal
from tests.review.made_runs import change_evaluation, make_run
from tests.review.made_sweeps import PRICES

FR = Temperatures("cross", 20.0, None)


def test_runs_that_differ_only_by_seed_are_one_row_of_means(tmp_path: Path) -> None:
    made = [make_run(tmp_path / "e" / f"s{seed}", seed=seed) for seed in range(3)]
    make_run(tmp_path / "e" / "other", seed=0, **{"optim.lr": 1e-3})
    rows = {tuple(row.runs): row for row in read_board(tmp_path, "e").rows}
    assert set(rows) == {("s0", "s1", "s2"), ("other",)}
    row = rows["s0", "s1", "s2"]
    assert row.seeds == [0, 1, 2]
    assert row.val.rsum == pytest.approx(statistics.fmean(metrics["rsum"] for metrics in made))
    assert row.val.rsum_sd == pytest.approx(statistics.stdev(metrics["rsum"] for metrics in made))
    for name in (name for _, names in IMAGE_TEXT for name in names):  # of the best epoch, not of the last
        assert row.val.metrics[name] == pytest.approx(statistics.fmean(metrics[name] for metrics in made))
    assert row.interval.split == "test"
    assert row.interval.low < row.test.rsum < row.interval.high
    assert row.cost.worker_seconds == 30
    assert row.commit == "c0ffee123456+"
    assert row.settings == "lr=0.0005"
    assert rows["other",].settings == "lr=0.001"
    assert rows["other",].val.rsum_sd is None


def test_rows_are_tested_against_the_first_that_is_re_ranked_alike(tmp_path: Path) -> None:
    for name, strength, more in (
        ("best", 2.0, {}),
        ("near", 1.95, {"optim.lr": 2e-3}),
        ("far", 1.0, {"optim.lr": 1e-3}),
    ):
        make_run(tmp_path / "e" / name, seed=0, strength=strength, temperatures=FR, **more)
    make_run(tmp_path / "e" / "unopened", seed=0, strength=0.9, test=None, **{"optim.lr": 3e-3})
    board = read_board(tmp_path)
    plain = {row.runs[0]: row for row in board.rows if not row.transductive}
    first = min(plain.values(), key=lambda row: row.rank)
    assert first.comparison is None
    far = plain["far"]
    assert (far.comparison.rank, far.comparison.split) == (first.rank, "test")
    assert far.comparison.difference == pytest.approx(far.test.rsum - first.test.rsum)
    assert far.comparison.low < far.comparison.difference < far.comparison.high < 0
    assert far.comparison.p < 0.05
    assert plain["unopened"].comparison.split == "val"
    assert plain["unopened"].comparison.difference == pytest.approx(plain["unopened"].val.rsum - first.val.rsum)
    transductive = [row for row in board.rows if row.transductive]
    assert {row.comparison and row.comparison.rank for row in transductive} == {
        None,
        min(row.rank for row in transductive),
    }


def test_an_evaluation_of_another_checkpoint_than_the_best_is_not_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "old", checkpoint="checkpoint_00000001", temperatures=FR)
    (row,) = read_board(tmp_path).rows
    assert row.test.rsum is None
    assert row.val.rsum is not None  # of the journal


def test_of_a_seed_that_was_run_twice_the_later_run_counts(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "first", seed=3, strength=2.0)
    later = make_run(tmp_path / "e" / "again", seed=3, strength=1.0)
    make_run(tmp_path / "e" / "untested", seed=3, strength=3.0, test=None)
    (row,) = read_board(tmp_path).rows
    assert row.runs == ["again"]
    assert row.val.rsum == pytest.approx(later["rsum"])
    assert row.test.rsum is not None


def test_a_run_from_before_a_field_existed_is_the_same_setting(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "old", seed=0)
    make_run(tmp_path / "e" / "new", seed=1, **{"optim.decay_epochs": [15], "method.orth_schedule": "adaptive"})
    (row,) = read_board(tmp_path).rows
    assert row.seeds == [0, 1]


def test_validation_by_another_protocol_does_not_take_the_place_of_the_whole_split(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=FR)
    folder = tmp_path / "e" / "a" / "evaluation"
    other = json.loads((folder / "val.rerank.json").read_text()) | {"protocol": "karpathy/val"}
    other["metrics"] = dict.fromkeys(other["metrics"], 1.0)
    (folder / "val.aa.rerank.json").write_text(json.dumps(other))
    marked = next(row for row in read_board(tmp_path).rows if row.transductive)
    assert marked.val.rsum > 100


def test_rows_are_ordered_by_validation_and_re_ranked_ones_are_marked(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path / "e" / f"good{seed}", seed=seed, strength=2.0, temperatures=FR)
        make_run(tmp_path / "e" / f"bad{seed}", seed=seed, strength=0.5, **{"method.kind": "vse_infinity"})
    rows = read_board(tmp_path).rows
    assert [row.rank for row in rows] == [1, 2, 3]
    assert rows == sorted(rows, key=lambda row: -row.val.rsum)
    marked = [row for row in rows if row.transductive]
    assert [row.rerank for row in marked] == ["cross i2t 20 t2i off"]
    assert marked[0].test.rsum is not None
    assert marked[0].method == "dvse"


def test_a_test_score_under_other_temperatures_than_the_searched_ones_is_not_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=FR)
    document = json.loads((tmp_path / "e" / "a" / "evaluation" / "test.rerank.json").read_text())
    change_evaluation(tmp_path / "e" / "a", "test.rerank.json", rerank={**document["rerank"], "i2t": 170.0})
    (row,) = (row for row in read_board(tmp_path).rows if row.transductive)
    assert row.val.rsum is not None
    assert row.test.rsum is None


def test_other_data_is_another_table_and_ranks_start_again(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    make_run(tmp_path / "e" / "b", fingerprint="b" * 64)
    make_run(tmp_path / "e" / "c", fingerprint="b" * 64, **{"optim.lr": 1.0})
    board = read_board(tmp_path)
    assert [[row.fingerprint[0] for row in table] for table in board.tables] == [["a"], ["b", "b"]]
    assert [[row.rank for row in table] for table in board.tables] == [[1], [1, 2]]


def test_a_run_that_never_opened_the_test_split_stands_beside_those_that_did(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "tested", test="karpathy/test")
    make_run(tmp_path / "e" / "trial", test=None, **{"optim.lr": 1.0})
    (table,) = read_board(tmp_path).tables
    assert {row.protocol for row in table} == {"karpathy/test"}
    assert {row.runs[0]: row.test.rsum is None for row in table} == {"tested": False, "trial": True}
    alone = next(row for row in table if row.runs == ["trial"])
    assert alone.interval.split == "val"


def test_a_row_shows_a_test_mean_only_when_every_seed_was_tested(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", seed=0)
    make_run(tmp_path / "e" / "b", seed=1, test=None)
    (row,) = read_board(tmp_path).rows
    assert row.seeds == [0, 1]
    assert row.test.rsum is None


def test_what_did_not_finish_is_counted_and_not_ranked(tmp_path: Path) -> None:
    for name, status in (("done", "finished"), ("cut", "pruned"), ("broke", "failed"), ("goes-on", None)):
        make_run(tmp_path / "e" / name, status=status)
    Journal(tmp_path / "e" / "sweep").write("start", uid="s", kind="sweep", run="sweep", experiment="e", config={})
    board = read_board(tmp_path, "e")
    assert [row.runs for row in board.rows] == [["done"]]
    assert board.counts == {"finished": 1, "pruned": 1, "failed": 1, "open": 1}


def test_costs_are_means_per_run_with_losses_and_money(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", seed=0)  # 30 worker-seconds on a device that its journal does not name
    make_run(tmp_path / "e" / "b", seed=1)
    journal = tmp_path / "e" / "b" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for number, line in enumerate(lines):
        line["time"] = 1000.0 + number
    lines.insert(-1, {"event": "end", "time": 1003.0 + 100, "status": "interrupted"})
    lines.insert(-1, {"event": "resume", "time": 9000.0, "epoch": 3})
    lines[-1]["time"] = 9001.0
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (row,) = read_board(tmp_path, "e", PRICES).rows
    assert row.cost.worker_seconds == 30 and row.cost.cpu_seconds == 30
    assert row.cost.lost_seconds == 50  # 100 s of one run, over two runs
    assert row.cost.money == pytest.approx((30 + 50) * 0.36 / 3600)
    (unpriced,) = read_board(tmp_path, "e").rows
    assert (unpriced.cost.money, unpriced.cost.currency) == (None, None)


def test_a_protocol_without_rsum_has_its_headline_and_the_validation_rsum(tmp_path: Path) -> None:
    for seed, value in ((0, 40.0), (1, 50.0)):
        make_run(tmp_path / "e" / f"s{seed}", seed=seed)
        mean_map = {"protocol": "class/test", "headline": "mean_map", "metrics": {"mean_map": value}}
        change_evaluation(tmp_path / "e" / f"s{seed}", "test.json", **mean_map)
    (row,) = read_board(tmp_path).rows
    assert row.protocol == "class/test"
    assert row.headline is not None
    assert (row.headline.name, row.headline.value) == ("test mean_map", 45.0)
    assert row.headline.sd == pytest.approx(50**0.5)
    assert row.test.rsum is None and row.val.rsum is not None
    (tmp_path / "e" / "s1" / "evaluation" / "test.json").unlink()
    (row,) = read_board(tmp_path).rows
    assert row.headline is not None and row.headline.value is None  # of one seed of two


def test_re_ranking_that_lowers_test_is_shown_as_such_in_every_form(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=FR)
    plain = json.loads((tmp_path / "e" / "a" / "evaluation" / "test.json").read_text())["metrics"]
    worse = {name: value - 2.0 for name, value in plain.items()}
    change_evaluation(tmp_path / "e" / "a", "test.rerank.json", metrics=worse)
    board = read_board(tmp_path)
    marked, other = sorted(board.rows, key=lambda row: not row.transductive)
    assert marked.gain["test"] == pytest.approx(-2.0) and other.gain == {} and other.lowered["test"] == {}
    assert marked.gain["val"] == pytest.approx((marked.val.rsum or 0) - (other.val.rsum or 0))
    assert marked.lowered["test"]["rsum"] == pytest.approx(2.0)
    for text in (to_text(board), to_markdown(board), to_html(board)):
        assert "test -2.0 (lowers i2t R@1, i2t R@5" in text
    assert "transductive, lowers test" in to_latex(board)
    values = as_dict(marked)
    assert values["rerank_gain/test"] == pytest.approx(-2.0)
    assert values["rerank_lowers_test"]["rsum"] == pytest.approx(2.0)
    assert "rsum=2" in to_csv(board)


def test_a_recall_that_chance_reaches_says_so_beside_the_number_in_every_form(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")  # 20 images: R@10 in a random order is 50
    board = read_board(tmp_path)
    (row,) = board.rows
    assert row.chance["test"]["t2i/recall_at_10"] == pytest.approx(50.0)
    number = f"{row.test.metrics['t2i/recall_at_10']:.1f} (chance 50.0)"
    for text in (to_text(board), to_markdown(board), to_html(board), to_latex(board)):
        assert number in text
    assert as_dict(row)["chance"]["test/t2i/recall_at_10"] == pytest.approx(50.0)
    assert "test/t2i/recall_at_10=50" in to_csv(board)
    assert "t2i/recall_at_1" not in row.chance["test"]


def test_the_sizes_of_a_run_that_was_never_evaluated_come_from_its_journal(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", test=None)
    (tmp_path / "e" / "a" / "evaluation" / "val.json").unlink()
    journal = tmp_path / "e" / "a" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert read_board(tmp_path).rows[0].chance["val"] == {}
    lines[0]["validation"] = {"queries": {"i2t": 9, "t2i": 9}, "gallery": {"i2t": 9, "t2i": 9}, "trained": None}
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_board(tmp_path).rows[0].chance["val"]["t2i/recall_at_10"] == 100.0


def test_what_is_left_out_is_listed_in_every_form(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", seed=0)
    make_run(tmp_path / "e" / "b", seed=0)
    path = tmp_path / "e" / "b" / "evaluation" / "test.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {"rsum": 600.0}}))
    written = read_leaderboard(tmp_path)
    written.write(tmp_path)
    assert [(left["run"], left["file"], left["why"].split(";")[0]) for left in written.left_out] == [
        ("b", "test.json", "changed since it was written"),
        ("b", "", "seed 0 of these settings counts from a"),
    ]
    page = (tmp_path / "leaderboard.html").read_text()
    for text in (written.text, (tmp_path / "leaderboard.md").read_text(), page):
        assert "b test.json: changed since it was written" in text
        assert "b: seed 0 of these settings counts from a" in text
    assert "600" not in (tmp_path / "leaderboard.csv").read_text()


def test_rows_name_the_shared_settings_in_which_they_differ_from_the_first(tmp_path: Path) -> None:
    shared = {"optim.batch_size": 128, "optim.num_epochs": 25}
    make_run(tmp_path / "e" / "dvse", strength=2.0, **{"encoder.dim": 256, **shared})
    make_run(tmp_path / "e" / "dive", **{"method.kind": "dive", "encoder.dim": 128, "optim.lr": 2e-3, **shared})
    first, second = read_board(tmp_path).rows
    assert (first.method, second.method) == ("dvse", "dive")
    assert {"dim=256", "lr=0.0005"} <= set(first.settings.split(", "))
    assert {"dim=128", "lr=0.002"} <= set(second.settings.split(", "))
    assert "batch_size" not in second.settings


def test_a_protocol_of_any_split_gives_the_test_column_scores_of_test_alone(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path / "e" / f"s{seed}", seed=seed, test=None if seed else "composed/multi")
        change_evaluation(tmp_path / "e" / f"s{seed}", "val.json", protocol="composed/multi")
    (row,) = read_board(tmp_path).rows
    assert (row.protocol, row.seeds) == ("composed/multi", [0, 1])
    assert row.test.rsum is None and row.val.rsum is not None  # one of the two was measured on validation alone
