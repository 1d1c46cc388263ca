"""A tracking server that dies in the middle of a sweep, and one that takes connections and never answers."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")
pytest.importorskip("mlflow", reason="the tracker is MLflow")

from raytrain.tracking.journal import Journal
from raytrain.training import fit as loop
from raytrain.training.train_state import TrainState
from tests import forked
from tests.ray_cluster import free_port
from tests.sweeps.in_process import Place


def serve(port: int) -> None:
    from mlflow.server import app
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, app, threaded=True)


class Tracker:
    """MLflow's own server in one process, over a sqlite file that outlives it."""

    def __init__(self, folder: Path, empty_store: Path) -> None:
        self.folder, self.store, self.port = folder, f"sqlite:///{folder}/mlflow.db", free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        shutil.copy(empty_store, folder)
        self.start()

    def start(self) -> None:
        names = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE", "_MLFLOW_SERVER_ARTIFACT_ROOT")
        settings = dict(zip(names, (self.store, self.store, str(self.folder)), strict=True))
        self.process = forked.start(serve, self.port, output=self.folder / "server.txt", environment=settings)
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                assert self.process.is_alive() and time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(30)


@pytest.fixture
def tracker(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = Tracker(tmp_path, empty_store)
    yield made
    made.kill()


def of_mlflow(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught if "MLflow did not take" in str(one.message)]


def test_a_tracker_that_dies_in_a_sweep_and_comes_back_has_everything_at_its_end(
    here: Place, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    validate = loop.validate
    client = MlflowClient(tracker.store)

    def watched(state: TrainState, *given: Any) -> dict[str, float]:
        if state.config.name == "s-t001":
            assert client.get_experiment_by_name("small")  # it was there
            tracker.kill()
        if state.config.name == "s-t002":  # the end of the one before was due, and found nobody
            deadline = time.monotonic() + 60
            while not of_mlflow(caught) and time.monotonic() < deadline:
                time.sleep(0.05)
            tracker.start()
        return validate(state, *given)

    monkeypatch.setattr(loop, "validate", watched)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert here.sweep("--name", "s", "--tracking", tracker.uri) == 0
    assert len(of_mlflow(caught)) == 1
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.info.run_name for run in runs) == ["s", "s-t000", "s-t001", "s-t002"]
    for run in runs:
        assert int(run.data.tags["raytrain.journal_lines"]) == len(Journal(here.run(run.info.run_name)).read())


def test_a_tracker_that_never_answers_is_left_after_two_tries(
    here: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    asked: list[Any] = []
    ended = threading.Event()
    validate = loop.validate

    def watched(state: TrainState, *given: Any) -> dict[str, float]:
        if state.config.name == "s-t002":
            ended.set()
        return validate(state, *given)

    monkeypatch.setattr(loop, "validate", watched)
    with socket.socket() as deaf, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        deaf.settimeout(0.2)

        def take() -> None:
            while True:
                try:
                    asked.append((deaf.accept()[0], ended.is_set()))
                except TimeoutError:
                    continue
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        uri = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert here.sweep("--name", "s", "--tracking", uri) == 0
    assert len(of_mlflow(caught)) == 1
    assert asked  # it was there
    # five folders and the cost of the sweep would have been asked for; of the last trial on it is at most three times
    assert sum(late for _, late in asked) <= 3
    trials = [event["state"] for event in Journal(here.run("s")).read() if event["event"] == "trial"]
    assert trials == ["complete"] * 3
