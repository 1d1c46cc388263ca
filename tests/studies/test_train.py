"""A study trains each run once, over seeds, resumptions, other studies and runs of other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="what a sweep records of its space is Optuna's")

from raytrain.config import RunConfig, override
from raytrain.errors import RefusedError
from raytrain.studies.record import StudyRecord
from raytrain.studies.train import run_study
from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import read_run
from raytrain.training.run import train
from tests.studies.in_process import TRAINED, margins, shared, trials_here


def run_margins(base: RunConfig, seeds: int, name: str = "study-margins", **options: Any) -> dict[str, Any]:
    return run_study(margins(), "margins", "small", override(base, {"name": name}), seeds, SweepOptions(**options))


def run_shared(base: RunConfig, seeds: int) -> dict[str, Any]:
    return run_study(shared(), "shared", "small", override(base, {"name": "study-shared"}), seeds, SweepOptions())


def test_a_seed_that_is_added_and_a_study_that_shares_runs_train_the_new_runs_alone(here: RunConfig) -> None:
    result = run_margins(here, 1)
    assert (result["trained"], result["failed"], result["left"]) == (2, 0, 0)
    assert TRAINED == ["study-margins-t000", "study-margins-t001"]
    again = run_margins(here, 1)
    assert (again["trained"], again["counts"]["recorded"]) == (0, 2)
    assert run_margins(here, 2)["trained"] == 2
    assert TRAINED[2:] == ["study-margins-t002", "study-margins-t003"]
    other = run_shared(here, 2)
    assert (other["counts"]["recorded"], other["trained"]) == (2, 2)  # K = 2 is the recipe, with two seeds
    assert TRAINED[4:] == ["study-shared-t000", "study-shared-t001"]

    folder = Path(result["folder"])
    events = Journal(folder).read()
    assert [event["event"] for event in events if event["event"] in ("start", "resume", "end")] == [
        "start", "end", "resume", "end",
    ]  # fmt: skip
    assert events[0]["kind"] == "sweep" and events[0]["space"] == "study margins"
    trials = {event["run"]: event for event in events if event["event"] == "trial"}
    assert {event["state"] for event in trials.values()} == {"complete"} and len(trials) == 4
    run = read_run(folder.parent / "study-margins-t003")
    assert (run.config["method.margin"], run.config["seed"]) == (0.1, 1)
    assert run.start["parent"] == events[0]["uid"]
    assert StudyRecord.read(folder).seeds == 2


def test_a_run_of_any_other_command_counts(here: RunConfig, tmp_path: Path) -> None:
    train(override(here, {"name": "by-hand", "experiment": "elsewhere"}))
    assert run_margins(here, 1)["counts"]["recorded"] == 1
    assert TRAINED == ["study-margins-t000"]


def test_a_study_whose_driver_was_killed_goes_on_with_the_run_that_was_interrupted(
    here: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def killed_in_the_second_trial(search: Any, scheduler: Any, ledger: Any, job: Any, head: Any, samples: int) -> None:
        trials_here(search, scheduler, ledger, job, head, 1)
        suggested = search.suggest("second")
        config = job.config(suggested["number"], suggested["changes"])
        journal = Journal(config.folder)  # it has started, and its process is gone
        journal.write("start", uid="interrupted", kind="run", run=config.name, fingerprint="0", config={})
        journal.close()
        raise Killed

    monkeypatch.setattr("raytrain.studies.train.run_on_tune", killed_in_the_second_trial)
    with pytest.raises(Killed):
        run_margins(here, 1)
    monkeypatch.setattr("raytrain.studies.train.run_on_tune", lambda *given: None)  # nothing trains
    result = run_margins(here, 1)
    assert (result["trained"], result["left"]) == (0, 1)
    assert read_run(_folder(here)).status == "killed"


def _folder(base: RunConfig) -> Path:
    return override(base, {"name": "study-margins-t001"}).folder


def test_runs_that_ended_while_no_driver_was_there_are_recorded(
    here: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trains_unrecorded(search: Any, scheduler: Any, ledger: Any, job: Any, head: Any, samples: int) -> None:
        suggested = search.suggest("only")
        train(job.config(suggested["number"], suggested["changes"]), parent=job.parent)
        raise KeyboardInterrupt

    monkeypatch.setattr("raytrain.studies.train.run_on_tune", trains_unrecorded)
    with pytest.raises(KeyboardInterrupt):
        run_margins(here, 1)
    monkeypatch.setattr("raytrain.studies.train.run_on_tune", trials_here)
    assert run_margins(here, 1)["trained"] == 1
    trials = [event for event in Journal(_folder(here).with_name("study-margins")).read() if event["event"] == "trial"]
    assert {event["run"] for event in trials} == {"study-margins-t000", "study-margins-t001"}
    assert TRAINED == ["study-margins-t001"]


def test_a_folder_of_another_recipe_or_study_is_refused(here: RunConfig) -> None:
    run_margins(here, 1)
    with pytest.raises(RefusedError, match=r"other settings \(optim.lr\); choose another name"):
        run_margins(override(here, {"optim.lr": 0.5}), 1)
    with pytest.raises(RefusedError, match="holds the study margins"):
        run_study(shared(), "shared", "small", override(here, {"name": "study-margins"}), 1, SweepOptions())
