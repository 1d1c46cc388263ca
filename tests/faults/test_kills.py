"""Kill -9 of a training worker, and of a sweep's driver, in the middle."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raytrain.config import override, to_yaml
from raytrain.tracking.journal import Journal
from raytrain.training.checkpoint import latest, load
from tests.faults.drive_sweep import EPOCHS, TRIALS
from tests.ray_cluster import LocalCluster
from tests.runs import small_run
from tests.sweeps.sweep_driver import result_of

LONG = 40  # epochs of a run that is to be hurt twice while it trains
pytestmark = [pytest.mark.faults, pytest.mark.cluster, pytest.mark.slow]


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str], timeout_s: float = 180.0) -> Any:
    """The first true answer of `what`, asked while the process lives."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if result := what():
            return result
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"it never came; the driver said:\n{''.join(process.communicate())}")


def epochs(folder: Path) -> list[int]:
    return [event["epoch"] for event in Journal(folder).read() if event["event"] == "epoch"]


def test_a_killed_worker_is_replaced_and_a_stopped_driver_goes_on_by_the_same_command(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    config = override(small_run(tmp_path, num_epochs=LONG), {"name": "hurt"})
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    arguments = ["-m", "raytrain.cli", "train", str(tmp_path / "run.yaml"), "--workers", "2", "--tracking", "none"]

    def resumes() -> list[dict[str, Any]]:
        return [event for event in Journal(config.folder).read() if event["event"] == "resume"]

    process = cluster.python(*arguments)
    wait_for(lambda: len(epochs(config.folder)) >= 2, process)
    before = cluster.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: resumes() and len(epochs(config.folder)) > resumes()[0]["epoch"] + 2, process)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, out + err
    (after_kill,) = resumes()  # the kill happened, and the run went on once
    assert 1 <= after_kill["epoch"] < LONG
    assert after_kill["checkpoint"]
    end = Journal(config.folder).last("end")
    assert end is not None and end["status"] == "interrupted"
    stopped_at = int(re.findall(r"stopped at step (\d+)", end["error"])[0])
    kept = latest(config.folder)
    assert kept is not None
    assert load(kept).manifest["step"] == stopped_at  # a checkpoint of that very step
    assert load(kept).manifest["epoch"] < LONG

    done = cluster.run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(resumes()) == 2
    assert epochs(config.folder) == list(range(1, LONG + 1))  # none twice, none missing
    last = Journal(config.folder).read()[-1]
    assert (last["event"], last["status"]) == ("end", "finished")


@dataclass
class Outcome:
    root: Path
    killed_with: int
    at_kill: dict[str, list[dict[str, Any]]]
    result: dict[str, Any]

    def journal(self, run: str) -> list[dict[str, Any]]:
        return Journal(self.root / "runs" / "small" / run).read()


@pytest.fixture(scope="module")
def resumed(cluster: LocalCluster, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A sweep whose driver was killed in its second trial, after the first had failed, and that was then resumed."""
    root = tmp_path_factory.mktemp("sweep")
    runs = root / "runs" / "small"
    shutil.copy(empty_store, root)
    process = cluster.python("-m", "tests.faults.drive_sweep", str(root))
    wait_for(lambda: epochs(runs / "killed-t001"), process)
    process.kill()
    killed_with = process.wait(30)
    process.communicate()
    at_kill = {path.parent.name: Journal(path.parent).read() for path in runs.glob("*/journal.jsonl")}
    done = cluster.run("-m", "tests.faults.drive_sweep", str(root), "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    return Outcome(root, killed_with, at_kill, result_of(done.stdout))


def test_the_driver_was_killed_in_the_middle_of_a_trial(resumed: Outcome) -> None:
    assert resumed.killed_with == -signal.SIGKILL
    assert [e["number"] for e in resumed.at_kill["killed"] if e["event"] == "trial"] == [0]
    # workers that outlive the driver by a moment may say that they failed; none may say that it finished
    assert all(e["event"] != "end" or e["status"] == "failed" for e in resumed.at_kill["killed-t001"])


def test_no_trial_is_lost_or_doubled(resumed: Outcome) -> None:
    assert resumed.result["trials"] == {"total": TRIALS, "complete": 1, "pruned": 0, "failed": 1}
    trials = [e for e in resumed.journal("killed") if e["event"] == "trial"]
    assert [e["number"] for e in trials] == [0, 1]
    folders = sorted(path.name for path in (resumed.root / "runs" / "small").iterdir())
    assert folders == ["killed", "killed-t000", "killed-t001"]
    from raytrain.sweeps.options import SweepOptions
    from raytrain.sweeps.study import open_study

    study = open_study(resumed.root / "runs" / "small" / "killed", "killed", SweepOptions(trials=TRIALS))
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL", "COMPLETE"]


def test_a_trial_that_has_ended_is_left_alone_and_the_interrupted_one_goes_on_from_its_checkpoint(
    resumed: Outcome,
) -> None:
    assert resumed.journal("killed-t000") == resumed.at_kill["killed-t000"]
    events = resumed.journal("killed-t001")
    resume = next(event for event in events if event["event"] == "resume")
    assert resume["epoch"] >= 1
    again = [e["epoch"] for e in events[events.index(resume) :] if e["event"] == "epoch"]
    assert again == list(range(resume["epoch"] + 1, EPOCHS + 1))
    assert len({event["uid"] for event in events if "uid" in event}) == 1


def test_a_nan_fails_its_trial_and_not_the_sweep(resumed: Outcome) -> None:
    failed = next(e for e in resumed.journal("killed") if e["event"] == "trial" and e["number"] == 0)
    assert failed["state"] == "failed"
    assert failed["value"] is None
    assert "NonFiniteError" in failed["error"]
    # it is not tried again: a restart would only repeat it
    assert sum(event["event"] in ("start", "resume") for event in resumed.journal("killed-t000")) == 1
    assert resumed.result["status"] == "finished"
    assert resumed.result["best"]["run"] == "killed-t001"


def test_the_temperatures_of_the_best_run_are_searched_afterwards(resumed: Outcome) -> None:
    assert resumed.result["rerank"]["settings_tried"] > 0
    assert [e["event"] for e in resumed.journal("killed")].count("rerank") == 1
    assert any(e["event"] == "rerank" for e in resumed.journal(resumed.result["best"]["run"]))


def test_mlflow_has_each_run_once_and_none_running(resumed: Outcome) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{resumed.root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    states = {run.info.run_name: run.info.status for run in runs}
    assert len(runs) == 1 + TRIALS
    assert states == {
        "killed": "FINISHED",
        "killed-t000": "FAILED",
        "killed-t001": "FINISHED",
    }
    parent = next(run.info.run_id for run in runs if run.info.run_name == "killed")
    children = [run for run in runs if run.info.run_name != "killed"]
    assert all(run.data.tags["mlflow.parentRunId"] == parent for run in children)
