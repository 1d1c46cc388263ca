"""A sweep over methods from its command line to the leaderboard; Tune alone is replaced, by a loop in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.cli.main import main
from raytrain.config import flatten, override
from raytrain.errors import UsageError
from raytrain.recipes import RECIPES
from raytrain.review.leaderboard import read_board
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.initial_trials import even_start, first_trials
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import open_study
from raytrain.sweeps.trial import trial_config
from raytrain.tracking.journal import Journal
from raytrain.training.run import train
from search_spaces import SPACES
from search_spaces.image_text import METHODS
from tests.tables import make_table

SPACE = SPACES["image_text"]


def one_after_the_other(study: Any, space: Any, ledger: Any, job: Any, samples: int, *rest: Any) -> None:
    """In place of Tune."""
    for _ in range(samples):
        trial = study.ask()
        space(trial)
        ledger.started(trial.number, trial.params)
        train(trial_config(ledger.base, ledger.sweep, trial.number, trial.params))
        ledger.ended(trial.number, trial.params)
        study.tell(trial, ledger.recorded[trial.number]["value"])


@pytest.mark.usefixtures("no_cluster")
def test_a_sweep_over_methods_from_the_command_to_the_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.sweeps.sweep.run_trials", one_after_the_other)
    table = make_table(tmp_path / "table", items=280, texts_per_item=2, regions=3)
    changes = [f"data.table={table.path}", f"storage={tmp_path}/runs", "encoder.dim=8", "optim.max_steps=1"]
    flags = ["--name", "s", "--trials", "4", "--each-method", "1", "--rerank-trials", "0", "--tracking", "none"]
    assert main(["sweep", "image_text", "--recipe", "dvse_emoji", *flags, *changes]) == 0

    folder = tmp_path / "runs" / "emoji" / "s"
    trials = {event["number"]: event for event in Journal(folder).read() if event["event"] == "trial"}
    assert [trials[number]["params"]["method.kind"] for number in range(4)] == ["dvse", *METHODS]
    assert all(event["state"] == "complete" for event in trials.values())
    board = read_board(tmp_path / "runs")
    assert sorted(row.method for row in board.rows) == sorted(["dvse", *METHODS])
    assert len(board.tables) == 1  # methods compare with one another
    told = {row.runs[0]: row.settings for row in board.rows}
    assert "margin=" in told["s-t000"]  # what tells two runs of one method apart
    assert told["s-t003"] == ""  # DivE stands alone
    assert main(["leaderboard", "--storage", str(tmp_path / "runs")]) == 0
    page = (tmp_path / "runs" / "leaderboard.html").read_text(encoding="utf-8")
    assert all(f'y="205">{name}</text>' in page for name in ("DVSE", "VSE-infinity", "DivE"))


def test_the_searcher_hands_out_the_recipe_and_then_runs_of_all_methods(tmp_path: Path) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps.study import searcher

    base, options = RECIPES["dive_flickr8k"](), SweepOptions(trials=24)
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


def test_an_even_start_is_of_spaces_that_draw_the_method() -> None:
    assert even_start(SPACES["dvse"], 0) == []
    with pytest.raises(UsageError, match=r"--each-method is for a space that draws method\.kind"):
        even_start(SPACES["dvse"], 2)
