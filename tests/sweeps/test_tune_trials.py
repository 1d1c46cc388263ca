"""Tune's scheduler as a sweep uses it: fatal errors end the sweep, and early stops know the trials of before."""

from __future__ import annotations

import math
import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")
pytest.importorskip("ray.tune", reason="Ray is not installed")

from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from raytrain.config import override
from raytrain.errors import DataError, DiskFullError, NonFiniteError, RefusedError
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.ledger import Ledger, recorder
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.trial_error import KIND, MESSAGE
from raytrain.sweeps.tune_trials import early_stopping, fatal_error, shown_name, stops_at_fatal_error
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from tests.sweeps.small_sweep import write_run


def nowhere() -> HeadMonitor:
    return HeadMonitor("127.0.0.1:1", lambda: None)


def quick(address: str) -> HeadMonitor:
    return HeadMonitor(address, lambda: None, every_s=0.02, patience_s=0.1, settle_s=0.02)


def tune_trial(error: Exception | None = None) -> SimpleNamespace:
    """Tune's trial 0 after an error that it reported before; without one its driver was lost."""
    reported: dict[str, Any] = {"best": 1.0, "epoch": 1}
    if error is not None:
        reported = {"best": math.nan, "epoch": 1, KIND: type(error).__name__, MESSAGE: str(error)}
    return SimpleNamespace(config={"number": 0, "changes": {}}, error_file=None, last_result=reported)


def test_tune_names_a_trial_as_its_run_is_named() -> None:
    """Also once its config is on its way, as Tune makes the trial: str() of it is what Ray shows."""
    from ray.tune.experiment import Trial

    trial = Trial("shown", config={"number": 3, "changes": {}}, trial_name_creator=shown_name("s"), stub=True)
    assert str(trial) == "s-t003"
    assert cloudpickle.loads(cloudpickle.dumps(shown_name("s")))(tune_trial()) == "s-t000"


def test_a_refused_trial_and_a_full_disk_end_the_sweep_before_the_study_hears_of_them(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[int] = []
    monkeypatch.setattr(HeadMonitor, "settled", lambda head: settled.append(1))
    scheduler = stops_at_fatal_error(FIFOScheduler, ledger, nowhere())()
    for error in (RefusedError("closed:\n  two lines"), DiskFullError("full")):
        with pytest.raises(type(error)) as caught:
            scheduler.on_trial_error(None, tune_trial(error))
        assert type(caught.value) is type(error) and str(caught.value) == str(error)
    assert not settled
    for other in (NonFiniteError("nan"), RuntimeError("its driver was lost"), DataError([])):
        scheduler.on_trial_error(None, tune_trial(other))
    scheduler.on_trial_error(None, tune_trial())
    assert len(settled) == 4  # none of them is in the run's journal: the head may be away


def test_a_fatal_error_is_found_below_the_wrappers_of_tune_and_ray() -> None:
    wrapped = RuntimeError("The Ray Tune run failed")
    wrapped.__cause__ = RayTaskError("f", "trace", RefusedError("closed"))
    assert str(fatal_error(wrapped)) == "closed"
    assert type(fatal_error(RayTaskError("f", "trace", DiskFullError("full")))) is DiskFullError
    assert fatal_error(RuntimeError("other")) is None
    assert fatal_error(None) is None


def test_a_trial_whose_driver_went_with_the_head_has_not_failed(ledger: Ledger) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.close()
    scheduler = stops_at_fatal_error(FIFOScheduler, ledger, quick(f"127.0.0.1:{port}"))()
    cloudpickle.dumps(scheduler)  # as Tune does before it starts
    # Tune asks it before the study and the ledger hear of the error
    waiting = threading.Thread(target=scheduler.on_trial_error, args=(None, tune_trial()), daemon=True)
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()  # until the watch ends the process
    back = socket.create_server(("127.0.0.1", port))
    waiting.join(10)
    back.close()
    assert not waiting.is_alive()  # the head is there after all: it was the trial's own driver
    recorder(ledger).on_trial_error(0, [], tune_trial())
    recorder(ledger).on_trial_error(0, [], tune_trial())  # in vain the second time
    assert ledger.recorded[0]["state"] == "failed"


def test_a_trials_own_error_is_recorded_whether_or_not_the_head_answers(ledger: Ledger) -> None:
    journal = Journal(ledger.run_folder(0))
    journal.write("start", uid="r", kind="run")
    journal.write("end", status="failed", error="NonFiniteError: step 3", metrics={})
    stops_at_fatal_error(FIFOScheduler, ledger, nowhere())().on_trial_error(None, tune_trial())
    recorder(ledger).on_trial_error(0, [], tune_trial())
    assert ledger.recorded[0]["error"] == "NonFiniteError: step 3"


def early(base_epochs: int, ledger: Ledger, **options: Any) -> Any:
    base = override(ledger.base, {"optim.num_epochs": base_epochs})
    return early_stopping(Ledger(base, "s", SweepOptions(**options), Mirror(None)), nowhere())


def test_nothing_is_stopped_early_within_the_grace_or_where_a_cost_is_kept_low(ledger: Ledger) -> None:
    assert isinstance(early(8, ledger), ASHAScheduler)
    assert not isinstance(early(8, ledger, grace_epochs=8), ASHAScheduler)
    assert not isinstance(early(8, ledger, cost="index_bytes"), ASHAScheduler)


def test_a_trial_is_stopped_by_what_those_of_an_earlier_life_reached(ledger: Ledger) -> None:
    for number in range(3):
        write_run(ledger.run_folder(number), [50.0 + number] * 8, "finished")
        ledger.ended(number, {})
    scheduler = early(8, ledger, grace_epochs=2, reduction=3)
    trial = SimpleNamespace(trial_id="new")
    scheduler.on_trial_add(None, trial)
    assert scheduler.on_trial_result(None, trial, {"epoch": 1, "best": 1.0}) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, trial, {"epoch": 2, "best": 1.0}) == TrialScheduler.STOP
    # a trial that reports an error, and one after its last epoch, end by themselves
    failed = {"epoch": 4, "best": math.nan, KIND: "RefusedError", MESSAGE: "closed"}
    assert scheduler.on_trial_result(None, trial, failed) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, trial, {"epoch": 8, "best": 1.0}) == TrialScheduler.CONTINUE
