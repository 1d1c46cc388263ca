"""The sweep's record of its trials: what it writes, who leads, and how Tune's callbacks reach it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")
pytest.importorskip("ray.tune", reason="Ray is not installed")

from raytrain.files import write_json
from raytrain.sweeps.ledger import Ledger, recorder
from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from tests.sweeps.small_sweep import write_run


def test_a_trial_of_the_full_budget_leads_before_one_that_was_cut_short(ledger: Ledger) -> None:
    for number, (value, status) in enumerate([(9.0, "pruned"), (5.0, "finished"), (6.0, "finished")]):
        write_run(ledger.run_folder(number), [value], status)
        ledger.ended(number, {})
    leader = ledger.leader()
    assert leader is not None
    assert leader["number"] == 2


def ended(number: int = 0, **result: Any) -> SimpleNamespace:
    """A trial of Tune's that has ended with a last result."""
    return SimpleNamespace(config={"number": number, "changes": {"a": 1}}, last_result=result, error_file=None)


def test_a_trial_is_recorded_once_with_its_params_value_and_cost(ledger: Ledger) -> None:
    costly = Ledger(ledger.base, "s", SweepOptions(trials=6, cost="index_bytes"), Mirror(None))
    write_run(costly.run_folder(0), [5.0, 4.0], "finished", index_bytes=256.0)
    costly.ended(0, {"a": 1})
    costly.ended(0, {"a": 2}, "told again")
    (event,) = [e for e in costly.journal.read() if e["event"] == "trial"]
    assert {name: event[name] for name in ("number", "run", "params", "state", "value", "epochs", "error", "cost")} == {
        "number": 0, "run": "s-t000", "params": {"a": 1}, "state": "complete", "value": 5.0, "epochs": 2, "error": None,
        "cost": 256.0,
    }  # fmt: skip
    again = Ledger(ledger.base, "s", SweepOptions(), Mirror(None))
    assert again.recorded[0]["value"] == 5.0  # the next life of the sweep knows it


def test_a_trial_without_any_metrics_has_failed(ledger: Ledger) -> None:
    write_run(ledger.run_folder(0), [], None)
    recorder(ledger).on_trial_complete(1, [], ended())
    assert (ledger.recorded[0]["state"], ledger.recorded[0]["error"]) == ("failed", "no metrics were reported")
    end = Journal(ledger.run_folder(0)).last("end")
    assert end is not None and end["status"] == "failed"
    assert ledger.left() == 5


def test_after_a_while_without_a_line_it_says_how_far_the_trials_are(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.started(0, {})
    ledger.started(1, {})
    tune = recorder(ledger)
    tune.on_step_end(1, [])
    assert "is being set up" not in capsys.readouterr().err  # the last line is a moment old
    monkeypatch.setattr("raytrain.sweeps.ledger.QUIET_S", 0.0)
    Journal(ledger.run_folder(1)).write("start", uid="u", life="a")
    write_json(ledger.run_folder(1) / "progress.json", {"life": "a", "epochs": 1, "step": 4, "steps": 9})
    tune.on_step_end(1, [])
    tune.on_step_end(1, [])
    assert capsys.readouterr().err == "[0/6] s-t000 is being set up; s-t001 epoch 2, step 4 of 9\n"


def test_the_callbacks_show_each_epoch_once_and_the_leader_beside_it(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(ledger.run_folder(0), [7.0], "finished")
    callbacks = recorder(ledger)
    callbacks.on_trial_complete(1, [], ended())
    callbacks.on_trial_start(1, [], ended(1))
    assert set(ledger.running) == {1}
    for epoch, best in ((1, 2.0), (1, 2.0), (2, math.nan)):
        callbacks.on_trial_result(1, [], ended(1), {"epoch": epoch, "best": best})
    lines = [line for line in capsys.readouterr().err.splitlines() if "epoch" in line and "s-t001" in line]
    assert lines == ["[1/6] s-t001 epoch 1/3 best val/rsum 2.00; best so far 7.00 (s-t000)"]


def test_a_lost_driver_is_recorded_with_the_last_line_of_its_traceback(ledger: Ledger, tmp_path: Path) -> None:
    write_run(ledger.run_folder(0), [7.0], None)
    lost = ended()
    lost.error_file = str(tmp_path / "error.txt")
    (tmp_path / "error.txt").write_text("Failure # 1\nTraceback\nActorDiedError: the node died\n")
    recorder(ledger).on_trial_error(1, [], lost)
    assert ledger.recorded[0]["error"] == "its driver was lost: ActorDiedError: the node died"


def test_what_was_spent_is_of_the_trials_that_ended_and_of_those_that_train(ledger: Ledger) -> None:
    for number in range(3):
        write_run(ledger.run_folder(number), [7.0], None, gpu_seconds=10.0)
    ledger.ended(0, {})
    ledger.running[1] = {}
    assert ledger.gpu_seconds() == 20.0


def test_a_trial_whose_process_was_lost_before_it_began_is_handed_out_once_more(ledger: Ledger) -> None:
    from optuna.trial import TrialState

    from raytrain.sweeps.capacity import Capacity
    from raytrain.sweeps.study import open_study, searcher

    def space(trial: Any) -> None:
        trial.suggest_float("method.margin", 0.1, 0.3)

    options = SweepOptions(trials=1)
    ledger = Ledger(ledger.base, "s", options, Mirror(None))
    study = open_study(ledger.folder, "s", options)
    capacity = Capacity(options, False, lambda: 0.0, lambda: [{"CPU": 1.0}])
    changes = []
    for again in (False, True):
        search = searcher(study, space, [0] if again else [], capacity, never_began=ledger.never_began)
        config = search.suggest("a")
        changes.append(config)
        ledger.started(0, config["changes"])
        search.on_trial_complete("a", error=True)
        recorder(ledger).on_trial_error(1, [], SimpleNamespace(config=config, error_file=None))
        assert ledger.running == {}
        if not again:
            assert ledger.recorded == {} and ledger.handed_out_again == {0}
            assert study.get_trials()[0].state == TrialState.RUNNING
    assert changes[0] == changes[1]
    assert study.get_trials()[0].state == TrialState.FAIL
    assert ledger.recorded[0]["state"] == "failed"


def test_a_trial_that_trains_longer_than_the_base_says_so(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.started(2, {"optim.num_epochs": 16})
    ledger.epoch(2, 4, 2.0)
    assert "s-t002 epoch 4/16 best" in capsys.readouterr().err
