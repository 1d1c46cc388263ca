"""A driver was killed: which trials are settled, which go on, and that nothing is recorded twice."""

from __future__ import annotations

from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import override
from raytrain.review.charts.pareto import front
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.reconcile import reconcile
from raytrain.sweeps.study import open_study
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.run_record import read_run
from tests.runs import small_run
from tests.sweeps.small_sweep import SIX, rate, write_run

RUNNING, COMPLETE, FAIL = (getattr(optuna.trial.TrialState, name) for name in ("RUNNING", "COMPLETE", "FAIL"))


def test_after_a_kill_ended_runs_are_settled_and_open_ones_go_on(ledger: Ledger) -> None:
    study = open_study(ledger.folder, "s", SIX)
    for _ in range(5):
        rate(study.ask())
    study.tell(0, 10.0)
    write_run(ledger.run_folder(0), [10.0, 8.0], "finished")  # told, but not yet recorded by the sweep
    write_run(ledger.run_folder(1), [7.0], "pruned")  # ended, but nobody told
    write_run(ledger.run_folder(2), [], "failed", "NonFiniteError: step 1")
    write_run(ledger.run_folder(3), [5.0], None)  # killed in the middle
    # trial 4 was drawn and never started
    interrupted = reconcile(open_study(ledger.folder, "s", SIX), rate, ledger)
    assert interrupted == [3, 4]
    states = [trial.state for trial in study.get_trials()]
    assert states == [COMPLETE, COMPLETE, FAIL, RUNNING, RUNNING]
    events = {e["number"]: e for e in ledger.journal.read() if e["event"] == "trial"}
    assert {number: e["state"] for number, e in events.items()} == {0: "complete", 1: "pruned", 2: "failed"}
    assert [events[n]["value"] for n in range(3)] == [10.0, 7.0, None]
    assert "NonFiniteError" in events[2]["error"]
    assert read_run(ledger.run_folder(3)).status == "killed"
    assert ledger.counts() == {"total": 3, "complete": 1, "pruned": 1, "failed": 1}


def test_a_trial_recorded_before_the_study_was_told_is_not_run_again(ledger: Ledger) -> None:
    study = open_study(ledger.folder, "s", SIX)
    for number in range(2):
        rate(study.ask())
        write_run(ledger.run_folder(number), [4.0], "failed", "ActorDiedError: gone")
    ledger.ended(0, {}, None)  # an early stop whose workers called the loss of their driver a failure
    ledger.ended(1, {}, "its driver was lost")
    assert read_run(ledger.run_folder(0)).status == "pruned"
    again = Ledger(ledger.base, "s", SIX, Mirror(None))
    assert reconcile(open_study(ledger.folder, "s", SIX), rate, again) == []
    assert [(trial.state, trial.value) for trial in study.get_trials()] == [(COMPLETE, 4.0), (FAIL, None)]
    assert again.counts() == {"total": 2, "complete": 0, "pruned": 1, "failed": 1}


def test_reconciling_twice_records_nothing_twice(ledger: Ledger) -> None:
    study = open_study(ledger.folder, "s", SIX)
    rate(study.ask())
    write_run(ledger.run_folder(0), [3.0], "finished")
    reconcile(study, rate, ledger)
    again = Ledger(ledger.base, "s", SIX, Mirror(None))
    assert reconcile(open_study(ledger.folder, "s", SIX), rate, again) == []
    assert [e["event"] for e in ledger.journal.read()] == ["trial"]


def test_a_killed_sweep_of_two_objectives_is_settled_with_both(tmp_path: Path) -> None:
    options = SweepOptions(trials=6, cost="index_bytes")
    base = override(small_run(tmp_path), {"name": "s"})
    base.folder.mkdir(parents=True)
    ledger = Ledger(base, "s", options, Mirror(None))
    study = open_study(ledger.folder, "s", options)
    for _ in range(3):
        rate(study.ask())
    write_run(ledger.run_folder(0), [50.0], "finished", index_bytes=256.0)
    write_run(ledger.run_folder(1), [60.0], "finished")  # of a version that did not record it
    write_run(ledger.run_folder(2), [70.0], "finished", index_bytes=512.0)
    ledger.ended(2, {})  # recorded, and the study was not told
    assert reconcile(study, rate, ledger) == []
    assert [trial.values for trial in study.get_trials()] == [[50.0, 256.0], None, [70.0, 512.0]]
    assert [trial["run"] for trial in front(list(ledger.recorded.values()))] == ["s-t000", "s-t002"]
