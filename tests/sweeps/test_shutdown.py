"""A sweep that is stopped: what it asks of its runs, what it records, and the exit code."""

from __future__ import annotations

import os
import signal

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.errors import DiskFullError
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.shutdown import GRACE, record_end, stoppable, watch_head
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import read_run
from raytrain.training import stop
from tests.sweeps.small_sweep import write_run


def test_a_stopped_sweep_closes_the_trials_and_the_repetition_that_train(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(ledger.run_folder(0), [4.0], None)
    write_run(ledger.folder.parent / "s-t001-s1", [5.0], None)
    ledger.running[0] = {}
    ledger.repeating = ledger.folder.parent / "s-t001-s1"
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setenv(GRACE, "0.1")
    with stoppable(ledger):
        os.kill(os.getpid(), signal.SIGTERM)
    assert left == [75]  # the signal arrived
    for folder in (ledger.run_folder(0), ledger.repeating):
        assert (folder / stop.NAME).exists()  # asked for a checkpoint, in vain: nobody trains
        assert read_run(folder).status == "interrupted"
    end = ledger.journal.last("end")
    assert end is not None
    assert end["status"] == "interrupted"


def test_without_its_head_a_sweep_leaves_with_code_75_and_says_how_it_goes_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Journal(ledger.run_folder(0)).write("start", uid="r", kind="run")
    ledger.running[0] = {}
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    address = "127.0.0.1:1"
    watch_head(ledger, address).gone()
    assert left == [75]
    assert read_run(ledger.run_folder(0)).status == "interrupted"
    end = ledger.journal.last("end")
    assert end is not None
    assert (end["status"], address in end["error"]) == ("interrupted", True)
    assert 'resume="s" address="HOST:PORT"' in capsys.readouterr().err


def test_an_error_that_ends_the_sweep_is_recorded_and_raised(ledger: Ledger) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    for error, status in ((DiskFullError("full"), "interrupted"), (RuntimeError("gone"), "failed")):
        with pytest.raises(type(error)), stoppable(ledger):
            raise error
        end = ledger.journal.last("end")
        assert end is not None
        assert (end["status"], end["error"]) == (status, f"{type(error).__name__}: {error}")
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_storage_that_takes_no_record_does_not_keep_a_sweep_from_ending(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*given: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write", full)
    record_end(ledger, "failed", "why")
    said = capsys.readouterr().err
    assert "not recorded" in said and "s failed: why; go on with resume=" in said
    ledger.go_on = "go on with the same command"  # of a study
    record_end(ledger, "interrupted", "why")
    assert "s interrupted: why; go on with the same command" in capsys.readouterr().err
