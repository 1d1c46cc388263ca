"""What the benchmark of killed sweeps calls a fault's trace, on journals that were made up; no cluster."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from benchmarks.chaos_audit import compare, problems
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import open_study
from raytrain.tracking.journal import Journal

TRIALS, EPOCHS = 3, 2
FINISHED = {name: ["FINISHED"] for name in ("s", "s-t000", "s-t001", "s-t002")}


def write_sweep(folder: Path, values: list[float], **last: Any) -> Path:
    """A sweep in which everything went well; `last` changes the last trial's record."""
    folder.mkdir(parents=True)
    study = open_study(folder, folder.name, SweepOptions(trials=TRIALS))
    for number, value in enumerate(values):
        run = Journal(folder.parent / f"{folder.name}-t{number:03d}")
        run.write("start", uid=str(number), kind="run")
        for epoch in (1, 2):
            run.write("epoch", epoch=epoch, metrics={})
        run.write("end", status="finished")
        study.tell(study.ask(), value)
        state = {"number": number, "run": run.path.parent.name, "state": "complete", "value": value, "error": None}
        state |= {"params": {"lr": number}} | (last if number == TRIALS - 1 else {})
        Journal(folder).write("trial", **state)
    Journal(folder).write("end", status="finished")
    return folder


def test_a_sweep_in_which_all_went_well_has_no_problem(tmp_path: Path) -> None:
    assert problems(write_sweep(tmp_path / "s", [1.0, 2.0, 3.0]), TRIALS, EPOCHS, FINISHED) == []


@pytest.mark.parametrize(
    ("hurt", "told"),
    [
        (
            lambda s: Journal(s).write("trial", number=1, run="s", state="failed", params={}, error=""),
            "recorded 2 times",
        ),
        (lambda s: Journal(s).write("end", status="interrupted"), "the sweep's journal ends with interrupted"),
        (lambda s: shutil.rmtree(s.parent / "s-t001"), "missing: ['s-t001']"),
        (lambda s: (s.parent / "s-t007").mkdir(), "should not be there"),
        (lambda s: open_study(s, "s", SweepOptions()).ask(), "the study has {'COMPLETE': 3, 'RUNNING': 1}"),
        (lambda s: Journal(s.parent / "s-t002").write("resume", uid="2"), "s-t002: ends with"),
        (lambda s: Journal(s.parent / "s-t000").write("epoch", epoch=2, metrics={}), "s-t000: has epochs [1, 2, 2]"),
        (lambda s: Journal(s.parent / "s-t000").write("end", status="finished", uid="x"), "started as a new run"),
    ],
)
def test_each_trace_of_a_fault_is_named(tmp_path: Path, hurt: Callable[[Path], None], told: str) -> None:
    sweep = write_sweep(tmp_path / "s", [1.0, 2.0, 3.0])
    hurt(sweep)
    result = problems(sweep, TRIALS, EPOCHS, FINISHED)
    assert any(told in line for line in result), result


def test_a_lost_trial_a_failed_one_and_a_mirror_left_running_are_named(tmp_path: Path) -> None:
    lost = write_sweep(tmp_path / "s", [1.0, 2.0], state="failed", error="?")
    assert "trial 2 is recorded 0 times" in problems(lost, TRIALS, EPOCHS, None)
    failed = write_sweep(tmp_path / "f", [1.0, 2.0, 3.0], state="failed", error="its driver was lost")
    assert problems(failed, TRIALS, EPOCHS, None) == ["f-t002 failed: its driver was lost"]
    fine = write_sweep(tmp_path / "m" / "s", [1.0, 2.0, 3.0])
    running = FINISHED | {"s-t001": ["KILLED", "FINISHED"], "s-t002": ["RUNNING"]}
    assert problems(fine, TRIALS, EPOCHS, running) == [
        "MLflow has s-t001 as ['KILLED', 'FINISHED']",
        "MLflow has s-t002 as ['RUNNING']",
    ]
    pruned = write_sweep(tmp_path / "p" / "s", [1.0, 2.0, 3.0], state="pruned")
    assert problems(pruned, TRIALS, EPOCHS, FINISHED | {"s-t002": ["KILLED"]}) == []


def test_sweeps_are_compared_by_number_to_the_last_bit(tmp_path: Path) -> None:
    calm = write_sweep(tmp_path / "calm", [1.0, 2.0, 3.0])
    hurt = write_sweep(tmp_path / "hurt", [1.0, 2.0 + 1e-12, 9.0], state="pruned", params={"lr": 5})
    result = compare(calm, hurt)
    assert (result.together, result.equal, result.same_settings) == (2, 1, 2)
    assert 0 < result.furthest < 1e-11
