"""A report as data: verdicts, runs in order, what is still open, what is damaged."""

from __future__ import annotations

from pathlib import Path

from raytrain.review.accounting import read_journals
from raytrain.review.leaderboard import read_board
from raytrain.review.report.report import Report, read_report, report_of_row
from raytrain.review.report.subject import read_subject
from tests.review.made_reports import made_sweep
from tests.review.made_runs import make_run


def report_on(folder: Path, now: float | None = None) -> Report:
    return read_report(read_subject(str(folder)), now=now)


def test_an_experiment_is_judged_by_its_tables_and_then_its_sweeps(experiment: Path) -> None:
    report = report_on(experiment)
    tables, sweep = (verdict.sentence for verdict in report.verdicts)
    assert "DVSE (K = 4, dvse-s0 and 1 more)" in tables and "VSE-infinity (vse-s0 and 1 more)" in tables
    assert "among 12 trials (9 complete, 2 pruned, 1 failed) of sweep search" in sweep
    assert report.kind == "experiment" and report.progress is None
    assert [run.name for run in report.runs][:2] == ["dvse-s0", "dvse-s1"] or report.runs[0].record.best is not None
    values = [run.record.best for run in report.runs if run.record.best is not None]
    assert values == sorted(values, reverse=True)


def test_a_sweep_has_its_trials_runs_and_cost(experiment: Path) -> None:
    report = report_on(experiment / "search")
    (sweep,) = report.sweeps
    assert sweep.sweep is not None and len(sweep.sweep.trials) == 12 and len(sweep.runs) == 12
    assert sweep.cost is not None and sweep.cost.restarts == 1
    assert report.costs == [sweep.cost] and report.progress is sweep.progress
    assert len(report.verdicts) == 1  # one method: the sweep's own verdict says it all


def test_a_run_by_itself_is_compared_with_nothing(experiment: Path) -> None:
    report = report_on(experiment / "dvse-s0")
    (verdict,) = report.verdicts
    assert verdict.sentence.startswith("DVSE (K = 4, dvse-s0) reaches test rsum ")
    assert "A run by itself is compared with nothing." in verdict.notes
    assert [run.record.folder.name for run in report.runs] == ["dvse-s0"] and not report.sweeps


def test_a_sweep_that_goes_on_says_so(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=6, ended=False)
    report = report_on(folder, now=1060.0)
    assert report.progress is not None and report.progress.status == "running"
    assert report.verdicts[0].sentence.startswith("It is still running. ")
    assert "leads so far" in report.verdicts[0].sentence
    silent = report_on(folder, now=9000.0)
    assert silent.verdicts[0].sentence.startswith("It is silent. ")


def test_a_run_that_failed_or_trains_is_told_by_its_state(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=5).parent
    failed = report_on(folder / "search-t003").verdicts[0]
    assert failed.sentence == (
        "search-t003 ended as failed after 2 of 3 epochs; best val/rsum so far 297.82 (epoch 2): ran out of memory."
    )
    make_run(tmp_path / "made" / "open", status=None)
    assert "open is still running: 3 epochs done" in report_on(tmp_path / "made" / "open").verdicts[0].sentence


def test_damaged_folders_are_named_and_take_nothing_down(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=4)
    (folder.parent / "search-t000" / "journal.jsonl").write_bytes(b"\xff\xfe{]\n" * 3)
    (folder / "space.json").write_text("[")
    (folder.parent / "search-t001" / "evaluation").mkdir()
    (folder.parent / "search-t001" / "evaluation" / "val.json").write_text('{"schema": 1, "metrics": 3}')
    report = report_on(folder)
    places = {Path(problem.file).parent.name for problem in report.board.skipped}
    assert places == {"search-t000", "search", "evaluation"}
    assert len(report.reviewed) == 3 and report.sweeps[0].sweep is not None


def test_the_report_of_a_row_says_how_it_compares(experiment: Path) -> None:
    board, journals = read_board(experiment.parent), read_journals(experiment.parent)
    rows = [row for row in board.rows if row.method == "vse_infinity"]
    report = report_of_row(rows, board, journals)
    assert report.name == "vse-s0 and vse-s1" and [run.name for run in report.runs]
    assert "of the " in report.verdicts[0].sentence and "points of test rsum below DVSE" in report.verdicts[0].sentence
    assert len(report.board.rows) == 1 and len(report.reviewed) == 2
