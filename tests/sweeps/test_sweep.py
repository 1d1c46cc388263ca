"""A whole sweep from its command line to the leaderboard; Tune alone is replaced, by a loop in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.cli.main import main
from raytrain.config import flatten
from raytrain.data.table.test_guard import refuse_test
from raytrain.review.leaderboard import read_board
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.sweep import conclude, sweep
from raytrain.sweeps.tune_trials import OpenSweep
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.training.run import train
from search_spaces import SPACES
from search_spaces.image_text import METHODS
from tests.cli.test_sweep import RESULT
from tests.sweeps.small_sweep import write_run
from tests.tables import make_table


def one_after_the_other(sweep: OpenSweep, samples: int, interrupted: list[int]) -> None:
    """In place of Tune."""
    for _ in range(samples):
        trial = sweep.study.ask()
        sweep.space(trial)
        sweep.ledger.started(trial.number, trial.params)
        train(sweep.job.config(trial.number, trial.params))
        sweep.ledger.ended(trial.number, trial.params)
        sweep.study.tell(trial, sweep.ledger.recorded[trial.number]["value"])


@pytest.mark.usefixtures("no_cluster")
def test_a_sweep_over_methods_from_the_command_to_the_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.sweeps.sweep.run_trials", one_after_the_other)
    table = make_table(
        tmp_path / "table", items=540, texts_per_item=2, regions=3
    )  # captions for the largest batch of the space
    changes = [f"data.table={table.path}", f"storage={tmp_path}/runs", "encoder.dim=128", "optim.max_steps=1"]
    flags = ["--name", "s", "--trials", "4", "--each-method", "1", "--rerank-trials", "0", "--tracking", "none"]
    assert main(["sweep", "image_text", "--recipe", "dvse_emoji", *flags, *changes]) == 0

    folder = tmp_path / "runs" / "emoji" / "s"
    trials = {event["number"]: event for event in Journal(folder).read() if event["event"] == "trial"}
    assert [trials[number]["params"]["method.kind"] for number in range(4)] == ["dvse", *METHODS]
    assert all(event["state"] == "complete" for event in trials.values())
    board = read_board(tmp_path / "runs")
    assert sorted(row.method for row in board.rows) == sorted(["dvse", *METHODS])
    assert len(board.tables) == 1  # methods compare with one another
    settings = {row.runs[0]: row.settings for row in board.rows}
    assert "margin=" in settings["s-t000"]  # what tells two runs of one method apart
    assert "lr=" in settings["s-t003"]  # DivE stands alone: what differs from the row that it is compared with
    assert main(["leaderboard", "--storage", str(tmp_path / "runs")]) == 0
    page = (tmp_path / "runs" / "leaderboard.html").read_text(encoding="utf-8")
    assert all(f">{name}</text>" in page for name in ("DVSE", "VSE-infinity", "DivE"))

    due: list[str] = []  # a driver that was killed while it closed its mirror has mirrored none of them for certain
    monkeypatch.setattr(Mirror, "due", lambda self, place: due.append(Path(place).name))
    assert main(["sweep", "image_text", "--resume", str(folder), "--tracking", "none"]) == 0
    assert set(due) == {"s", "s-t000", "s-t001", "s-t002", "s-t003"}


def test_a_resumed_sweep_keeps_the_flags_it_began_with_unless_told_otherwise(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"trials": 6, "workers": 2, "reduction": 4, "seed": 7, "use_gpu": False, "repeat_best": 3}
    ledger.journal.write("start", uid="u", kind="sweep", config=flatten(ledger.base), options=options)
    asked: dict[str, Any] = {}

    def instead(space: Any, base: Any, options: SweepOptions, **more: Any) -> dict[str, Any]:
        asked.update(options.as_dict() | more)
        return {**RESULT, "folder": str(ledger.folder), "trials": {}, "best": None, "mirrored": True}

    monkeypatch.setattr("raytrain.sweeps.sweep.sweep", instead)
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: {})
    resume = ["sweep", "dvse", "--resume", str(ledger.folder), "--tracking", "none"]
    assert main([*resume, "--trials", "9", "--gpu", "auto", "--cpus-per-worker", "2"]) == 1  # no trial, no best
    assert {name: asked[name] for name in options} == options | {"trials": 9, "use_gpu": None}
    assert asked["resources_per_worker"] == {"CPU": 2.0, "GPU": 1.0}
    assert asked["resume"] is True


def test_the_mean_over_seeds_chooses_and_the_repeats_are_paid_for(ledger: Ledger) -> None:
    ledger = Ledger(ledger.base, "s", SweepOptions(rerank_trials=0), Mirror(None))
    for number, value in enumerate((5.0, 7.0)):
        write_run(ledger.run_folder(number), [value], "finished", gpu_seconds=10.0)
        ledger.ended(number, {"optim.lr": 0.1 * number})
    cost = {"gpu_seconds": 2.0, "worker_seconds": 3.0}
    repeats = [{"number": 0, "mean": 6.0, "cost": cost}, {"number": 1, "mean": 4.0, "cost": cost}]
    result = conclude(ledger, "u", repeats)
    assert (result["status"], result["best"]["run"]) == ("finished", "s-t000")
    assert result["best"]["val"] == {"val/rsum": 5.0}
    assert (result["gpu_seconds"], result["worker_seconds"]) == (2 * 10.0 + 2 * 2.0, 2 * 1 + 2 * 3.0)
    end = ledger.journal.last("end")
    assert end is not None
    assert (end["best"]["run"], end["metrics"]["best/val/rsum"]) == ("s-t000", 5.0)
    assert conclude(ledger, "u", [])["best"]["run"] == "s-t001"


def test_a_sweep_whose_trials_all_failed_says_where_to_look(ledger: Ledger) -> None:
    ledger.ended(0, {}, "its driver was lost")
    result = conclude(ledger, "u", [])
    assert (result["status"], result["best"], result["trials"]["failed"]) == ("failed", None, 1)
    end = ledger.journal.last("end")
    assert end is not None
    assert "each run's journal says why" in end["error"]


def test_the_front_is_recorded_where_a_cost_is_kept_low(ledger: Ledger) -> None:
    costly = Ledger(ledger.base, "s", SweepOptions(cost="index_bytes", rerank_trials=0), Mirror(None))
    for number, (value, size) in enumerate([(5.0, 256.0), (7.0, 512.0), (6.0, 512.0)]):
        write_run(costly.run_folder(number), [value], "finished", index_bytes=size)
        costly.ended(number, {})
    conclude(costly, "u", [])
    end = costly.journal.last("end")
    assert end is not None
    assert [(row["run"], row["cost"]) for row in end["front"]] == [("s-t000", 256.0), ("s-t001", 512.0)]


@pytest.mark.parametrize("mirrored", [True, False])
def test_the_best_run_is_logged_as_a_model_once_the_sweep_has_ended(
    mirrored: bool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the test split is open again: the model's gallery holds images of all splits."""
    logged: list[tuple[Path, str]] = []

    def log(folder: Path, uri: str) -> str:
        refuse_test("test", allow_test=True)
        logged.append((folder, uri))
        return "models:/e/1"

    def ended(*given: Any) -> dict[str, Any]:
        return {"best": {"run": "s-t003"}, "mirrored": mirrored}

    monkeypatch.setattr("raytrain.sweeps.sweep.connect", lambda: {"address": "here"})
    monkeypatch.setattr("raytrain.sweeps.sweep._sweep", ended)
    monkeypatch.setattr("raytrain.sweeps.sweep.log_or_warn", log)
    result = sweep(SPACES["dvse"], ledger.base, SweepOptions(), name="s", tracking_uri="http://mlflow:5000")
    assert result["model"] == ("models:/e/1" if mirrored else None)
    assert logged == [(ledger.base.folder.with_name("s-t003"), "http://mlflow:5000")] * mirrored
