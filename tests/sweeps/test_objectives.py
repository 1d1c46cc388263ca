"""Two objectives: the front by brute force, the study's values, and a search that trades one for the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import override
from raytrain.errors import UsageError
from raytrain.review.pareto import front
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.objectives import values
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import open_study, sampler
from raytrain.sweeps.sweep import early_stopping, reconcile
from raytrain.sweeps.trial import Ledger
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.progress import progress
from tests.runs import small_run

SMALL_INDEX = SweepOptions(trials=6, cost="index_bytes")


def views(trial: Any) -> None:
    trial.suggest_int("method.views", 1, 8)


def write_run(folder: Path, value: float, size: float | None) -> None:
    journal = Journal(folder)
    journal.write("start", uid=folder.name, kind="run")
    cost = {} if size is None else {"cost/index_bytes": size}
    journal.write("epoch", epoch=1, step=1, metrics={"val/rsum": value, **cost})
    journal.write("end", status="finished", error=None, metrics={})


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["complete", "pruned"])), max_size=9))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int, int, str]]) -> None:
    trials = [
        {"number": at, "value": float(value), "cost": float(cost), "state": state}
        for at, (value, cost, state) in enumerate(drawn)
    ]
    whole = [one for one in trials if one["state"] == "complete"]
    kept = []
    for one in whole:
        beaten = any(
            other["value"] >= one["value"]  # type: ignore[operator]
            and other["cost"] <= one["cost"]  # type: ignore[operator]
            and ((other["value"], other["cost"]) != (one["value"], one["cost"]) or other["number"] < one["number"])  # type: ignore[operator]
            for other in whole
            if other is not one
        )
        kept += [] if beaten else [one]
    assert front(trials) == sorted(kept, key=lambda one: one["cost"])  # type: ignore[arg-type, return-value]


def test_a_trial_without_a_value_or_a_cost_is_no_part_of_a_front() -> None:
    whole = {"number": 0, "state": "complete", "value": 1.0, "cost": 2.0}
    lacking = {"number": 3, "state": "complete", "value": 9.0}
    assert front([{**whole, "value": None}, {**whole, "cost": None}, lacking]) == []


def test_a_killed_sweep_of_two_objectives_is_settled_with_both(tmp_path: Path) -> None:
    base = override(small_run(tmp_path), {"name": "s"})
    base.folder.mkdir(parents=True)
    ledger = Ledger(base, "s", SMALL_INDEX, Mirror(None))
    study = open_study(ledger.folder, "s", SMALL_INDEX)
    for _ in range(3):
        views(study.ask())
    write_run(ledger.run_folder(0), 50.0, 256.0)
    write_run(ledger.run_folder(1), 60.0, None)  # of a version that did not say
    write_run(ledger.run_folder(2), 70.0, 512.0)
    ledger.ended(2, {})  # recorded, and the study was not told
    assert reconcile(study, views, ledger) == []
    assert [trial.values for trial in study.get_trials()] == [[50.0, 256.0], None, [70.0, 512.0]]
    assert [one["run"] for one in front(list(ledger.recorded.values()))] == ["s-t000", "s-t002"]
    assert values(progress(ledger.run_folder(1), "val/rsum"), None) == [60.0]
    from ray.tune.schedulers import ASHAScheduler

    scheduler = early_stopping(ledger, SMALL_INDEX.search(100), HeadMonitor("127.0.0.1:1", lambda: None))
    assert not isinstance(scheduler, ASHAScheduler)  # a cheap trial is not stopped for being worse


@pytest.mark.parametrize("name", ["tpe", "nsga2", "gp", "random"])
def test_each_sampler_searches_both_objectives(tmp_path: Path, name: Any) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps.study import searcher

    options = SweepOptions(trials=8, cost="index_bytes", sampler=name)
    study = open_study(tmp_path, "s", options)
    search = searcher(study, views, [], Capacity(options, False, lambda: 0.0, lambda: [{"CPU": 1.0}]), "index_bytes")
    for number in range(8):
        drawn = search.suggest(str(number))
        assert search.suggest("more") is None  # there is room for one
        size = float(drawn["changes"]["method.views"])
        search.on_trial_result(str(number), {"best": size, "cost/index_bytes": size, "epoch": 1})
        result = {"best": 10 * size, "cost/index_bytes": size, "epoch": 1}
        if number == 3:
            del result["cost/index_bytes"]
        search.on_trial_complete(str(number), result)
    trials = open_study(tmp_path, "s", options).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["FAIL"] + ["COMPLETE"] * 4
    assert all(trial.values == [10 * size, size] for trial in trials if trial.values for size in [trial.values[1]])
    assert len({trial.params["method.views"] for trial in trials}) >= 3


def test_no_trial_starts_once_the_budget_is_spent(tmp_path: Path) -> None:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps.study import searcher

    options, spent = SweepOptions(trials=6, gpu_hours=1), [0.0]
    study = open_study(tmp_path, "s", options)
    search = searcher(study, views, [], Capacity(options, False, lambda: spent[0], lambda: [{"CPU": 9.0}]))
    assert search.suggest("a")["number"] == 0
    spent[0] = 3600.0
    assert search.suggest("b") == tune.search.Searcher.FINISHED
    search.on_trial_complete("a", {"best": 1.0, "epoch": 1})  # what trained goes on to its end
    assert [trial.value for trial in study.get_trials()] == [1.0]


def test_the_samplers_are_those_that_were_named() -> None:
    names: list[Any] = ["tpe", "gp", "nsga2", "random", "grid"]
    kinds = [type(sampler(SweepOptions(sampler=name))).__name__ for name in names]
    assert kinds == ["TPESampler", "GPSampler", "NSGAIISampler", "RandomByNumber", "RandomByNumber"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sampler": "best"}, "no sampler 'best'"),
        ({"cost": "money"}, "no cost 'money'"),
        ({"cost": "index_bytes", "repeat_best": 2}, "leave one out"),
        ({"trials": 0}, "at least one trial"),
        ({"hours": 0.0}, "above 0"),
        ({"reduction": 1}, "at least 2"),
    ],
)
def test_options_that_make_no_sweep_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        SweepOptions(**wrong)


def test_what_decides_the_trials_is_told_as_older_sweeps_told_it() -> None:
    assert SweepOptions(trials=9).search(10) == {"seed": 0, "grace_epochs": 3, "reduction": 3}
    more = SweepOptions(sampler="gp", cost="gpu_seconds", each_method=2, warm_start=("a",), grace_epochs=1).search(10)
    assert {name: more[name] for name in ("sampler", "cost", "each_method", "warm_start", "grace_epochs")} == {
        "sampler": "gp", "cost": "gpu_seconds", "each_method": 2, "warm_start": ["a"], "grace_epochs": 1,
    }  # fmt: skip
