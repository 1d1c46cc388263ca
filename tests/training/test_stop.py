"""Requests to stop: by the run's folder, by SIGTERM, and what they do to a run."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from raytrain.data.table import Table
from raytrain.errors import Interrupted
from raytrain.tracking.journal import Journal
from raytrain.training import stop
from raytrain.training.run import train
from raytrain.training.stop import StopRequest, listening, on_sigterm
from tests.runs import fit_here, tiny


def test_a_run_that_trains_elsewhere_is_asked_to_stop_through_its_folder(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, name="a", optim__num_epochs=3, optim__lr=1e-4)

    def ask(metrics: dict[str, float], path: Path | None) -> None:
        stop.ask(config.folder)
        time.sleep(stop.LOOK_EVERY_S)

    with pytest.raises(Interrupted, match="stopped at step 4"):
        fit_here(config, report=ask)
    train(config)
    journal = Journal(config.folder).read()
    assert [event["epoch"] for event in journal if event["event"] == "epoch"] == [1, 2, 3]
    assert [event["status"] for event in journal if event["event"] == "end"] == ["interrupted", "finished"]


def test_a_request_is_seen_at_the_next_look_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    request = StopRequest(tmp_path)
    assert not request.is_set()
    stop.ask(tmp_path)
    now[0] += stop.LOOK_EVERY_S / 2
    assert not request.is_set()  # the folder may be on a slow file system: it is not looked into at each step
    now[0] += stop.LOOK_EVERY_S / 2
    assert request.is_set()
    stop.withdraw(tmp_path)
    assert request.is_set()
    assert not StopRequest(tmp_path).is_set()


def test_only_rank_0_looks_into_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop.ask(tmp_path)
    monkeypatch.setattr(stop, "rank", lambda: 1)
    request = StopRequest(tmp_path)
    assert not request.is_set()
    request.set()
    assert request.is_set()


def test_asking_a_run_that_has_not_started_and_withdrawing_nothing_are_no_errors(tmp_path: Path) -> None:
    stop.ask(tmp_path / "nowhere")
    stop.withdraw(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sigterm_sets_the_event_and_the_handler_goes_with_the_context(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with listening(tmp_path) as request:
        assert not request.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.is_set()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_handler_goes_with_an_error_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), on_sigterm(lambda: None):
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    handlers = []

    def in_a_thread() -> None:
        with on_sigterm(lambda: None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
