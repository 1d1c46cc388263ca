"""Check a sweep that was disturbed: every trial once, every run ended, and the values of an undisturbed sweep."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import open_study
from raytrain.tracking.journal import Journal

Events = list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Two sweeps of the same draws.

    Args:
        together: trials that ran all their epochs in both.
        equal: how many of these have the same value, to the last bit.
        furthest: largest difference between two values.
        same_settings: trials that drew the same in both.
    """

    together: int
    equal: int
    furthest: float
    same_settings: int


def trials_of(sweep: Path) -> dict[int, dict[str, Any]]:
    """{number: its "trial" event}."""
    return {int(event["number"]): event for event in Journal(sweep).read() if event["event"] == "trial"}


def problems(sweep: Path, trials: int, epochs: int, statuses: dict[str, list[str]] | None) -> list[str]:
    """What a sweep that ended has lost, doubled or left open; [] where nothing.

    Args:
        sweep: its folder; the runs of its trials lie beside it.
        trials: number of trials that it was started with.
        epochs: of a trial that was not stopped early.
        statuses: {run: statuses that MLflow has under its name}; None without a mirror.
    """
    wrong = []
    numbers = Counter(int(event["number"]) for event in Journal(sweep).read() if event["event"] == "trial")
    wrong += [f"trial {number} is recorded {numbers[number]} times" for number in range(trials) if numbers[number] != 1]
    wrong += [f"trial {number} was never asked for" for number in numbers if number >= trials]
    study = open_study(sweep, sweep.name, SweepOptions(trials=trials)).get_trials(deepcopy=False)
    if len(study) != trials or any(not trial.state.is_finished() for trial in study):
        wrong.append(f"the study has {dict(Counter(trial.state.name for trial in study))}")
    names = [f"{sweep.name}-t{number:03d}" for number in range(trials)]
    runs = sorted(path.name for path in sweep.parent.iterdir() if re.fullmatch(rf"{sweep.name}-t\d+", path.name))
    if runs != names:
        wrong.append(f"folders that should not be there, or are missing: {sorted(set(runs) ^ set(names))}")
    for _, event in sorted(trials_of(sweep).items()):
        lines = Journal(sweep.parent / event["run"]).read()
        wrong += [f"{event['run']}: {what}" for what in _problems_of_run(lines, epochs)]
        if event["state"] == "failed":
            wrong.append(f"{event['run']} failed: {event['error']}")
    end = Journal(sweep).last("end")
    if end is None or end["status"] != "finished":
        wrong.append(f"the sweep's journal ends with {end and end['status']}")
    if statuses is not None:
        pruned = {event["run"] for event in trials_of(sweep).values() if event["state"] == "pruned"}
        for name in [sweep.name, *names]:
            if statuses.get(name) != ["KILLED" if name in pruned else "FINISHED"]:
                wrong.append(f"MLflow has {name} as {statuses.get(name, 'absent')}")
    return wrong


def _problems_of_run(events: Events, epochs: int) -> list[str]:
    wrong = []
    last = next((event for event in reversed(events) if event["event"] in ("start", "resume", "end")), None)
    if last is None or last["event"] != "end" or last["status"] not in ("finished", "pruned"):
        wrong.append(f"ends with {last}")
    logged = [event["epoch"] for event in events if event["event"] == "epoch"]
    expected = epochs if last is None or last.get("status") != "pruned" else len(logged)
    if logged != list(range(1, expected + 1)):
        wrong.append(f"has epochs {logged}")
    if len({event["uid"] for event in events if "uid" in event}) != 1:
        wrong.append("was started as a new run")
    return wrong


def compare(first: Path, second: Path) -> Comparison:
    """Compare the trials of two sweeps, by number."""
    left, right = trials_of(first), trials_of(second)
    both = sorted(left.keys() & right.keys())
    full = [n for n in both if left[n]["state"] == right[n]["state"] == "complete"]
    differences = [abs(left[n]["value"] - right[n]["value"]) for n in full]
    same = sum(left[n]["params"] == right[n]["params"] for n in both)
    equal = sum(difference == 0.0 for difference in differences)
    return Comparison(len(full), equal, max(differences, default=0.0), same)


def mlflow_statuses(uri: str, experiment: str) -> dict[str, list[str]]:
    """{run name: the status of each run of that name}, as MLflow has them."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    statuses: dict[str, list[str]] = {}
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    token = None
    while True:
        page = client.search_runs([experiment_id], max_results=500, page_token=token)
        for run in page:
            statuses.setdefault(run.info.run_name, []).append(run.info.status)
        token = page.token
        if not token:
            return statuses
