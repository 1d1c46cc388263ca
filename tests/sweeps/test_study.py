"""The study file across kills, without Ray: what is settled, what goes on, what is drawn again."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.cli.main import main
from raytrain.config import flatten, override
from raytrain.errors import DataError, DiskFullError, NonFiniteError, RefusedError, UsageError
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.ownership import claim, identify
from raytrain.sweeps.shutdown import GRACE, stoppable
from raytrain.sweeps.study import FILE, open_study, outcome
from raytrain.sweeps.sweep import ending, reconcile
from raytrain.sweeps.trial import Ledger
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.progress import close, progress
from raytrain.training import stop
from tests.faults.test_disk_full import files_up_to
from tests.runs import small_run

RUNNING, COMPLETE, FAIL = (getattr(optuna.trial.TrialState, name) for name in ("RUNNING", "COMPLETE", "FAIL"))
SIX = SweepOptions(trials=6)


def rate(trial: Any) -> None:
    trial.suggest_float("optim.lr", 1e-4, 1e-2, log=True)


def write_run(folder: Path, values: list[float], status: str | None, error: str | None = None) -> None:
    journal = Journal(folder)
    journal.write("start", uid=folder.name, kind="run")
    for epoch, value in enumerate(values, 1):
        journal.write("epoch", epoch=epoch, step=epoch, metrics={"val/rsum": value, "cost/worker_seconds": epoch})
    if status:
        journal.write("end", status=status, error=error, metrics={})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    base = override(small_run(tmp_path), {"name": "s"})
    base.folder.mkdir(parents=True)
    return Ledger(base, "s", SIX, Mirror(None))


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
    assert progress(ledger.run_folder(3), "val/rsum").status == "killed"
    assert ledger.counts() == {"total": 3, "complete": 1, "pruned": 1, "failed": 1}


def test_a_trial_recorded_before_the_study_was_told_is_not_run_again(ledger: Ledger) -> None:
    study = open_study(ledger.folder, "s", SIX)
    for number in range(2):
        rate(study.ask())
        write_run(ledger.run_folder(number), [4.0], "failed", "ActorDiedError: gone")
    ledger.ended(0, {}, None)  # an early stop whose workers called the loss of their driver a failure
    ledger.ended(1, {}, "its driver was lost")
    assert progress(ledger.run_folder(0), "val/rsum").status == "pruned"
    again = Ledger(ledger.base, "s", SIX, Mirror(None))
    assert reconcile(open_study(ledger.folder, "s", SIX), rate, again) == []
    assert [(trial.state, trial.value) for trial in study.get_trials()] == [(COMPLETE, 4.0), (FAIL, None)]
    assert again.counts() == {"total": 2, "complete": 0, "pruned": 1, "failed": 1}


def test_a_trial_of_the_full_budget_leads_before_one_that_was_cut_short(ledger: Ledger) -> None:
    for number, (value, status) in enumerate([(9.0, "pruned"), (5.0, "finished"), (6.0, "finished")]):
        write_run(ledger.run_folder(number), [value], status)
        ledger.ended(number, {})
    leader = ledger.leader()
    assert leader is not None
    assert leader["number"] == 2


def test_a_stopped_sweep_closes_the_trials_and_the_repetition_that_train(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(ledger.run_folder(0), [4.0], None)
    write_run(ledger.folder.parent / "s-t001-s1", [5.0], None)
    ledger.running[0] = {}
    ledger.repeating = ledger.folder.parent / "s-t001-s1"
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setenv(GRACE, "0.1")
    with stoppable(ledger):
        os.kill(os.getpid(), signal.SIGTERM)
    assert left == [75]  # the signal arrived
    for folder in (ledger.run_folder(0), ledger.repeating):
        assert (folder / stop.NAME).exists()  # asked for a checkpoint, in vain: nobody trains
        assert progress(folder, "val/rsum").status == "interrupted"
    end = ledger.journal.last("end")
    assert end is not None
    assert end["status"] == "interrupted"


def test_a_resumed_sweep_keeps_the_flags_it_began_with_unless_told_otherwise(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"trials": 6, "workers": 2, "reduction": 4, "seed": 7, "use_gpu": False, "repeat_best": 3}
    ledger.journal.write("start", uid="u", kind="sweep", config=flatten(ledger.base), options=options)
    asked: dict[str, Any] = {}

    def instead(space: Any, base: Any, options: SweepOptions, **more: Any) -> dict[str, Any]:
        asked.update(options.as_dict() | more)
        return {"folder": str(ledger.folder), "trials": {}, "best": None, "front": [], "mirrored": True}

    monkeypatch.setattr("raytrain.sweeps.sweep.sweep", instead)
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: {})
    resume = ["sweep", "dvse", "--resume", str(ledger.folder), "--tracking", "none"]
    assert main([*resume, "--trials", "9", "--gpu", "auto", "--cpus-per-worker", "2"]) == 1  # no trial, no best
    assert {name: asked[name] for name in options} == options | {"trials": 9, "use_gpu": None}
    assert asked["resources_per_worker"] == {"CPU": 2.0, "GPU": 1.0}
    assert asked["resume"] is True


def test_taking_stock_twice_records_nothing_twice(ledger: Ledger) -> None:
    study = open_study(ledger.folder, "s", SIX)
    rate(study.ask())
    write_run(ledger.run_folder(0), [3.0], "finished")
    reconcile(study, rate, ledger)
    again = Ledger(ledger.base, "s", SIX, Mirror(None))
    assert reconcile(open_study(ledger.folder, "s", SIX), rate, again) == []
    assert [e["event"] for e in ledger.journal.read()] == ["trial"]


def test_a_resumed_sampler_does_not_draw_the_first_trials_again(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        study = open_study(tmp_path, "s", SweepOptions(trials=24))
        for _ in range(3):
            trial = study.ask()
            drawn.append(trial.suggest_float("optim.lr", 0, 1))
            study.tell(trial, 1.0)
    assert len(set(drawn)) == 6


def test_random_draws_of_a_trial_are_the_same_whatever_was_resumed_before_it(tmp_path: Path) -> None:
    def draw(study: Any, margin_first: bool) -> tuple[float, float]:
        trial = study.ask()
        names = ["optim.lr", "method.margin"]
        for name in reversed(names) if margin_first else names:
            trial.suggest_float(name, 0, 1)
        return trial.params["optim.lr"], trial.params["method.margin"]

    options = SweepOptions(trials=6, sampler="random", seed=3)
    for folder in "abc":
        (tmp_path / folder).mkdir()
    whole = open_study(tmp_path / "a", "s", options)
    expected = [draw(whole, False) for _ in range(6)]
    drawn = [draw(open_study(tmp_path / "b", "s", options), number % 2 == 1) for number in range(6)]
    assert drawn == expected
    assert len({value for pair in expected for value in pair}) == 12
    other = open_study(tmp_path / "c", "s", SweepOptions(trials=6, sampler="random", seed=4))
    assert draw(other, False) not in expected


def test_a_line_torn_by_a_kill_costs_that_line_only(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    rate(study.ask())
    with open(tmp_path / FILE, "ab") as file:
        file.write(b'{"op_code": 5, "worker_id": "half')
    (tmp_path / f"{FILE}.lock").symlink_to(FILE)  # and its lock was never given back
    study = open_study(tmp_path, "s", SIX)
    study.ask()
    assert len(open_study(tmp_path, "s", SIX).get_trials()) == 2


def test_half_a_line_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    rate(study.ask())
    whole = (tmp_path / FILE).read_bytes()
    with files_up_to(len(whole) + 20), pytest.raises(OSError, match="File too large"):
        study.tell(0, 1.0)
    assert (tmp_path / FILE).read_bytes() == whole
    study.tell(0, 1.0)
    rate(study.ask())
    again = open_study(tmp_path, "s", SIX)
    assert [trial.state for trial in again.get_trials()] == [COMPLETE, RUNNING]


def test_a_refused_trial_and_a_full_disk_end_the_sweep_before_the_study_hears_of_them(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    from ray.exceptions import RayTaskError
    from ray.tune.schedulers import FIFOScheduler

    monkeypatch.setattr(HeadMonitor, "settled", lambda head: None)
    scheduler = ending(FIFOScheduler, ledger, HeadMonitor("127.0.0.1:1", lambda: None))()
    config = {"number": 0, "changes": {}}

    def meet(error: Exception) -> None:
        try:
            raise error
        except Exception:
            told = str(RayTaskError("run_trial", traceback.format_exc(), error))
        (tmp_path / "error.txt").write_text(f"Failure # 1 (occurred at noon)\n{told}\n")
        told_of = SimpleNamespace(error_file=str(tmp_path / "error.txt"), config=config)
        scheduler.on_trial_error(None, told_of)

    for own in (RefusedError("closed:\n  two lines"), DiskFullError("full")):
        with pytest.raises(type(own), match=str(own)):
            meet(own)
    for other in (NonFiniteError("nan"), RuntimeError("its driver was lost"), DataError([])):
        meet(other)
    scheduler.on_trial_error(None, SimpleNamespace(error_file=None, config=config))


def test_the_searcher_hands_interrupted_trials_out_again_with_their_values(ledger: Ledger) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps.study import searcher

    study, capacity = (
        open_study(ledger.folder, "s", SIX),
        Capacity(SIX, False, ledger.gpu_seconds, lambda: [{"CPU": 2.0}]),
    )
    before = study.ask()
    rate(before)
    search = searcher(open_study(ledger.folder, "s", SIX), rate, [0], capacity)
    first, second = search.suggest("a"), search.suggest("b")
    assert first == {"number": 0, "changes": before.params}
    assert second["number"] == 1
    search.on_trial_result("a", {"best": 3.0, "epoch": 1, "training_iteration": 1})
    search.on_trial_complete("a", {"best": 3.0, "epoch": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.on_trial_complete("b", {"best": float("nan"), "epoch": 1})
    assert [trial.state for trial in study.get_trials()] == [COMPLETE, FAIL]


@pytest.mark.parametrize(
    ("values", "status", "expected"),
    [
        ([1.0], "finished", "complete"),
        ([1.0], "pruned", "pruned"),
        ([], "finished", "failed"),
        ([1.0], "killed", None),
        ([1.0], "interrupted", None),
        ([1.0], None, None),
    ],
)
def test_what_a_runs_journal_says_of_its_trial(
    tmp_path: Path, values: list[float], status: str | None, expected: str | None
) -> None:
    write_run(tmp_path, values, status)
    assert outcome(progress(tmp_path, "val/rsum")) == expected


def test_only_an_error_of_the_runs_own_is_final(tmp_path: Path) -> None:
    write_run(tmp_path / "nan", [1.0], "failed", "NonFiniteError: step 3: loss is nan")
    write_run(tmp_path / "orphan", [1.0], "failed", "ActorDiedError: the driver that asked for reports is gone")
    assert outcome(progress(tmp_path / "nan", "val/rsum")) == "failed"
    assert outcome(progress(tmp_path / "orphan", "val/rsum")) is None


def test_progress_counts_a_repeated_epoch_once_and_forgets_an_end_that_was_resumed(tmp_path: Path) -> None:
    write_run(tmp_path, [5.0, 9.0], "killed")
    journal = Journal(tmp_path)
    journal.write("resume", uid="x", epoch=1)
    journal.write("epoch", epoch=2, step=2, metrics={"val/rsum": 8.0})
    journal.write("epoch", epoch=3, step=3, metrics={"val/rsum": 6.0})
    run = progress(tmp_path, "val/rsum")
    assert (run.epochs, run.best, run.end, run.resumed) == (3, 8.0, None, 1)
    assert run.history == [(1, 5.0), (2, 8.0), (3, 8.0)]
    assert run.best_metrics == {"val/rsum": 8.0}


def test_closing_an_ended_run_changes_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, [1.0], "finished")
    close(tmp_path, "pruned")
    assert progress(tmp_path, "val/rsum").status == "finished"


def test_a_sweeps_folder_has_one_driver_and_one_search(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(UsageError, match="no sweep 's'"), claim(folder, resume=True):
        pass
    with claim(folder, resume=False):
        identify(folder, {"data": "f"})
        with pytest.raises(RefusedError, match="another driver"), claim(folder, resume=True):
            pass
    with pytest.raises(RefusedError, match="--resume s"), claim(folder, resume=False):
        pass
    with claim(folder, resume=True), pytest.raises(RefusedError, match="data: was f, is g"):
        identify(folder, {"data": "g"})
