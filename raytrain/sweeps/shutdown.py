"""How a sweep ends before it is done: by a signal, an error or a lost head, and ready to be resumed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from raytrain.errors import Interrupted, argument
from raytrain.progress import say
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.ledger import Ledger
from raytrain.tracking.run_record import close_run, read_run
from raytrain.training.stop import ask

GRACE = "RAYTRAIN_GRACE_S"
"""Environment variable: seconds that a sweep which is being stopped gives its runs to write a checkpoint."""
DEFAULT_GRACE_S = 1.5  # of the three that `ray job stop` gives


def ask_to_stop(runs: Sequence[Path]) -> None:
    """Ask each run to write a checkpoint at its next step and end; wait for them for GRACE seconds."""
    grace_s = float(os.environ.get(GRACE, DEFAULT_GRACE_S))
    for run in runs:
        ask(run)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(read_run(run).is_open for run in runs):
        time.sleep(0.1)


def record_end(ledger: Ledger, status: str, reason: str, resume_with: str = "", timeout_s: float = 2.0) -> None:
    """Record that the sweep ends before it is done and that its trials are interrupted, and say how to go on.

    Args:
        status: of the sweep: "interrupted" or "failed".
        reason: for the journals.
        resume_with: further options that going on needs, with a space before them.
        timeout_s: seconds that the mirror has to finish.
    """
    try:
        for run in ledger.training():
            close_run(run, "interrupted", reason)
            ledger.mirror.due(run)
        ledger.journal.write("end", status=status, error=reason, metrics={})
        ledger.mirror.due(ledger.folder)
    except OSError as error:  # the storage may be full or gone, and a resumption needs none of this
        say(f"{ledger.sweep}: not recorded: {error}")
    say(f"{ledger.sweep} {status}: {reason}; {ledger.go_on}{resume_with}")
    ledger.mirror.close(timeout_s)


def exit_resumable(ledger: Ledger, reason: str, resume_with: str = "") -> None:
    """Record what is interrupted and end this process with exit code 75; a resumption does the rest.

    Ray ends the trials' processes with the driver that started them. An exception in place of the exit would not do:
    Tune would take it for an error of a trial.
    """
    record_end(ledger, "interrupted", reason, resume_with)
    os._exit(75)


def watch_head(ledger: Ledger, address: str) -> HeadMonitor:
    """A monitor of the head at `address` that ends this process once the head is gone: Ray would do so unrecorded."""
    reason = f"nothing answers at {address}, the head of the cluster"
    resume_with = f" {argument('address', 'HOST:PORT')} once there is a head on the same storage"
    return HeadMonitor(address, lambda: exit_resumable(ledger, reason, resume_with))


@contextlib.contextmanager
def stoppable(ledger: Ledger) -> Iterator[None]:
    """Inside, SIGTERM (`ray job stop`) and SIGINT let the runs checkpoint and end this process with exit code 75.

    An error that ends the sweep is recorded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        ask_to_stop(ledger.training())
        exit_resumable(ledger, f"signal {number}")

    former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Exception as error:
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        record_end(ledger, status, f"{type(error).__name__}: {error}", timeout_s=60.0)
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
