"""The study file across kills, without Ray: what is drawn again, what is handed out, and what a trial's run says."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import flatten, override
from raytrain.errors import DataError
from raytrain.recipes import RECIPES
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.initial_trials import first_trials
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import FILE, name_values, open_study, outcome, sampler
from raytrain.sweeps.trial import trial_config
from raytrain.tracking.run_record import read_run
from search_spaces import SPACES
from search_spaces.image_text import METHODS
from tests.sweeps.small_sweep import SIX, rate, write_run

RUNNING, COMPLETE, FAIL = (getattr(optuna.trial.TrialState, name) for name in ("RUNNING", "COMPLETE", "FAIL"))
SPACE = SPACES["image_text"]


def views(trial: Any) -> None:
    trial.suggest_int("method.views", 1, 8)


def test_a_resumed_sampler_does_not_draw_the_first_trials_again(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        study = open_study(tmp_path, "s", SweepOptions(trials=24))
        for _ in range(3):
            trial = study.ask()
            drawn.append(trial.suggest_float("optim.lr", 0, 1))
            study.tell(trial, 1.0)
    assert len(set(drawn)) == 6


def test_a_line_torn_by_a_kill_costs_that_line_only(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    rate(study.ask())
    with open(tmp_path / FILE, "ab") as file:
        file.write(b'{"op_code": 5, "worker_id": "half')
    (tmp_path / f"{FILE}.lock").symlink_to(FILE)  # and its lock was never given back
    study = open_study(tmp_path, "s", SIX)
    study.ask()
    assert len(open_study(tmp_path, "s", SIX).get_trials()) == 2


def test_values_have_the_names_of_the_metric_and_the_cost_and_a_resumption_writes_no_more(tmp_path: Path) -> None:
    for name, options, names in (
        ("one", SIX, ["val/rsum"]),
        ("two", SweepOptions(trials=6, cost="index_bytes"), ["val/rsum", "cost/index_bytes"]),
    ):
        (tmp_path / name).mkdir()
        name_values(open_study(tmp_path / name, "s", options), "val/rsum", options.cost)
        study = open_study(tmp_path / name, "s", options)
        name_values(study, "val/rsum", options.cost)
        assert study.metric_names == names and (tmp_path / name / FILE).read_bytes().count(b"metric_names") == 1


def test_the_samplers_are_those_that_were_named() -> None:
    names: list[Any] = ["tpe", "gp", "nsga2", "random", "grid"]
    kinds = [type(sampler(SweepOptions(sampler=name))).__name__ for name in names]
    assert kinds == ["TPESampler", "GPSampler", "NSGAIISampler", "RandomByNumber", "RandomByNumber"]


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


def test_the_searcher_hands_out_the_recipe_and_then_runs_of_all_methods(tmp_path: Path) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps.study import searcher

    base, options = RECIPES["dive_flickr8k_grid"](), SweepOptions(trials=24)
    study = open_study(tmp_path, "s", options)
    for params in first_trials(SPACE, base, grid=False, each_method=4, warm_start=()):
        study.enqueue_trial(params)
    search = searcher(study, SPACE, [], Capacity(options, False, lambda: 0.0, lambda: [{"CPU": 2.0}]))
    kinds = []
    for number in range(24):
        drawn = search.suggest(str(number))
        assert drawn["number"] == number
        config = trial_config(base, "s", number, drawn["changes"])
        flat = flatten(config)
        assert all(flat[name] == value for name, value in drawn["changes"].items())
        if number == 0:
            assert override(config, {"name": ""}) == base
        kinds.append(config.method.kind)
        search.on_trial_result(str(number), {"best": float(number), "epoch": 1, "training_iteration": 1})
        search.on_trial_complete(str(number), {"best": float(number), "epoch": 1})
    assert kinds[:13] == ["dive", *list(METHODS) * 4]
    # what is drawn within a method is the sampler's: no two trials of it are the same
    learning_rates = [trial.params["optim.lr"] for trial in study.get_trials()]
    assert len(set(learning_rates)) == 24


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
    assert outcome(read_run(tmp_path)) == expected


def test_only_an_error_of_the_runs_own_is_final(tmp_path: Path) -> None:
    write_run(tmp_path / "nan", [1.0], "failed", "NonFiniteError: step 3: loss is nan")
    write_run(tmp_path / "orphan", [1.0], "failed", "ActorDiedError: the driver that asked for reports is gone")
    assert outcome(read_run(tmp_path / "nan")) == "failed"
    assert outcome(read_run(tmp_path / "orphan")) is None


@pytest.mark.parametrize(
    "line", [b"not json", b"[]", b"null", b"\xff\xfe", b"\x00", b'{"op_code": 99, "worker_id": "x"}']
)
def test_a_study_with_a_hostile_line_is_bad_data(line: bytes, tmp_path: Path) -> None:
    open_study(tmp_path, "s", SweepOptions())
    path = tmp_path / "study.journal"
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(DataError, match=r"study\.journal: no study of Optuna.*warm_start="):
        open_study(tmp_path, "s", SweepOptions())
