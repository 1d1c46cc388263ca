"""A driver whose cluster has lost its head: nothing is recorded while it is away, and a resumption is what is left."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import override
from raytrain.errors import NonFiniteError, RaytrainError
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.ownership import _actors, writers
from raytrain.sweeps.shutdown import watched
from raytrain.sweeps.sweep import ending
from raytrain.sweeps.trial import Ledger, recorder
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.progress import progress
from tests.runs import small_run


def listener() -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, f"127.0.0.1:{server.getsockname()[1]}"


def quick(address: str, gone: Callable[[], None] = lambda: None) -> HeadMonitor:
    return HeadMonitor(address, gone, every_s=0.02, patience_s=0.1, settle_s=0.02)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(override(small_run(tmp_path), {"name": "s"}), "s", SweepOptions(trials=6), Mirror(None))


def test_a_head_that_answers_is_left_alone_and_one_that_does_not_is_told_of_once() -> None:
    server, address = listener()
    told: list[float] = []
    with quick(address, lambda: told.append(time.monotonic())) as head:
        time.sleep(0.3)
        assert head.answers()
        assert told == []
        server.close()
        closed = time.monotonic()
        while not told and time.monotonic() < closed + 10:
            time.sleep(0.01)
        time.sleep(0.2)
    assert len(told) == 1
    assert told[0] - closed >= 0.05  # not at the first look that failed


def test_without_its_head_a_sweep_leaves_with_code_75_and_says_how_it_goes_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(ledger.run_folder(0)).write("start", uid="r", kind="run")
    ledger.running[0] = {}
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    server, address = listener()
    watched(ledger, address).gone()
    server.close()
    assert left == [75]
    assert progress(ledger.run_folder(0), "val/rsum").status == "interrupted"
    end = ledger.journal.last("end")
    assert end is not None
    assert (end["status"], address in end["error"]) == ("interrupted", True)
    assert "--resume s --address" in capsys.readouterr().err


def erred(error: str = "") -> SimpleNamespace:
    """Tune's trial 0 after an error."""
    return SimpleNamespace(
        config={"number": 0, "changes": {}}, error_file=None, get_pickled_error=lambda: Exception(error)
    )


def test_a_trial_whose_driver_went_with_the_head_has_not_failed(ledger: Ledger) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers", reason="Ray is not installed")
    from ray import cloudpickle

    server, address = listener()
    server.close()
    scheduler = ending(schedulers.FIFOScheduler, ledger, quick(address))()
    cloudpickle.dumps(scheduler)  # as Tune does before it starts
    # Tune asks it before the study and the ledger hear of the error
    waiting = threading.Thread(target=scheduler.on_trial_error, args=(None, erred()), daemon=True)
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()  # until the watch ends the process
    back = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
    waiting.join(10)
    back.close()
    assert not waiting.is_alive()  # the head is there after all: it was the trial's own driver
    recorder(ledger).on_trial_error(0, [], erred())
    recorder(ledger).on_trial_error(0, [], erred())  # in vain the second time
    assert ledger.recorded[0]["state"] == "failed"


def test_a_trials_own_error_is_recorded_whether_or_not_the_head_answers(ledger: Ledger) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers", reason="Ray is not installed")
    server, address = listener()
    server.close()
    journal = Journal(ledger.run_folder(0))
    journal.write("start", uid="r", kind="run")
    journal.write("end", status="failed", error="NonFiniteError: step 3", metrics={})
    ending(schedulers.FIFOScheduler, ledger, quick(address))().on_trial_error(None, erred())
    recorder(ledger).on_trial_error(0, [], erred())
    assert ledger.recorded[0]["error"] == "NonFiniteError: step 3"


def test_a_former_drivers_actors_are_waited_for_and_helpers_that_stay_for_ever_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    import ray
    import ray.util.state

    actors = [
        SimpleNamespace(class_name="RayTrainWorker", state="ALIVE", is_detached=False),
        SimpleNamespace(class_name="TrainController", state="DEAD", is_detached=False),
        SimpleNamespace(class_name="_AutoscalingCoordinatorActor", state="ALIVE", is_detached=True),
    ]
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "n", "Alive": True}])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="h:1"))
    monkeypatch.setattr(ray.util.state, "list_actors", lambda *_, **__: actors)
    former = {"job": "01", "node": "n"}
    assert _actors(former, {"job": "02", "node": "n"}) == ["RayTrainWorker of Ray job 01"]
    assert _actors({"job": "01", "node": "of another cluster"}, {"job": "01", "node": "n"}) == []


def test_runs_that_somebody_still_writes_to_are_found_whatever_cluster_trains_them(ledger: Ledger) -> None:
    for name in ("s-t000", "s-t001", "s-t001-s1", "s-t002x", "other-t000"):
        Journal(ledger.folder.parent / name).write("start", uid=name, kind="run")  # closed with the object
    held = [Journal(ledger.folder.parent / name) for name in ("s-t001", "s-t001-s1", "s-t002x", "other-t000")]
    for journal in held:
        journal.write("epoch", epoch=1, metrics={})
    assert writers(ledger.folder) == ["s-t001", "s-t001-s1"]
    for journal in held:
        journal.close()
    assert writers(ledger.folder) == []


def test_a_run_that_ray_gave_up_is_started_again_and_one_that_failed_by_itself_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed")
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    from raytrain.cluster import ray_train

    config = override(small_run(tmp_path), {"name": "run"})
    tries: list[Exception | None] = []

    def ends(*errors: Exception | None) -> Callable[[], Any]:
        tries.clear()

        def fit() -> None:
            tries.append(errors[len(tries)])
            if tries[-1]:
                raise tries[-1]

        return lambda: SimpleNamespace(fit=fit)

    died = ControllerError(RuntimeError("a worker died while it was started"))
    ray_train._fit(config, ends(died, died, None))
    assert len(tries) == 3
    assert "run starts again: RuntimeError: a worker died" in capsys.readouterr().err
    with pytest.raises(RaytrainError, match="a worker died"):
        ray_train._fit(config, ends(*[died] * 9))
    assert len(tries) == 1 + ray_train.CONTROLLERS_LOST
    own = ControllerError(NonFiniteError("step 3: loss is nan"))  # as our callback ends a run
    for error in (own, WorkerGroupError("lost", {0: NonFiniteError("step 3: loss is nan")})):
        with pytest.raises(NonFiniteError):
            ray_train._fit(config, ends(error, None))
        assert len(tries) == 1
