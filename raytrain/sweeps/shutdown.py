"""How a sweep ends: with a choice, or by a signal that leaves everything to a resumption."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from raytrain import errors
from raytrain.errors import Interrupted, RefusedError
from raytrain.review.pareto import front
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.trial import Ledger
from raytrain.tracking.follow import say
from raytrain.tracking.progress import close, ended
from raytrain.training.stop import ask

GRACE = "RAYTRAIN_GRACE_S"
"""Environment variable: seconds that a sweep which is stopped gives its runs for a checkpoint."""
DEFAULT_GRACE_S = 1.5  # of the three that `ray job stop` gives


def conclude(ledger: Ledger, uid: str, repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose the best run, search its re-ranking temperatures, write the sweep's end."""
    options = ledger.options
    leader = ledger.leader()
    best, reranked = None, None
    if leader is not None:
        if repeats:
            chosen = max(repeats, key=lambda each: each["mean"])
            leader = ledger.recorded[chosen["number"]]
        run = ledger.progress(leader["number"])
        val = {name: value for name, value in run.best_metrics.items() if name.startswith("val/")}
        best = {"run": leader["run"], "params": leader["params"], "value": leader["value"], "val": val}
        if options.rerank_trials and ledger.base.evaluation.keep_similarity and ledger.base.batch_by != "query":
            from raytrain.run_evaluation.rerank import rerank_run

            reranked = rerank_run(ledger.run_folder(leader["number"]), options.rerank_trials, options.seed)
            ledger.journal.write(
                "rerank",
                run=leader["run"],
                metrics={"rerank/val/rsum": reranked["after"]},
                params=reranked["params"],
            )
            ledger.mirror.due(ledger.run_folder(leader["number"]))
    cost = {
        unit: sum(ledger.progress(number).metrics.get(f"cost/{unit}", 0.0) for number in ledger.recorded)
        + sum(each["cost"][unit] for each in repeats)
        for unit in ("gpu_seconds", "worker_seconds")
    }
    counts = ledger.counts()
    best_of_both = [
        {name: one[name] for name in ("run", "params", "value", "cost")} for one in front([*ledger.recorded.values()])
    ]
    status = "finished" if leader is not None else "failed"
    error = None if leader is not None else "every trial failed; each run's journal says why"
    ledger.journal.write(
        "end",
        status=status,
        error=error,
        metrics={
            **({f"best/{ledger.select}": best["value"]} if best else {}),
            **{f"cost/{k}": v for k, v in cost.items()},
        },
        best=best,
        trials=counts,
        **({"front": best_of_both} if options.cost else {}),
    )
    return {
        "sweep": ledger.sweep,
        "folder": str(ledger.folder),
        "uid": uid,
        "status": status,
        "trials": counts,
        "best": best,
        "front": best_of_both,
        **cost,
        "repeats": repeats,
        "rerank": reranked,
    }


def fatal_error(error: BaseException | None) -> RefusedError | Interrupted | None:
    """The refusal, or the full disk, that an error of a trial or of Tune comes from; None of any other error."""
    while error is not None:
        inside = getattr(error, "cause", None)  # of Ray's wrapper
        error = inside if isinstance(inside, BaseException) else error
        if isinstance(error, (RefusedError, Interrupted)):
            return error
        error = error.__cause__ or error.__context__
    return None


def error_from_traceback(path: str | None) -> RefusedError | Interrupted | None:
    """The same, of a trial's error as Tune writes it: a traceback, whose last line begins with the error's name."""
    try:
        text = Path(path or "").read_text(encoding="utf-8")
    except OSError:
        return None
    *_, last = [None, *re.finditer(r"^raytrain\.errors\.(\w+): ", text, re.MULTILINE)]
    kind = getattr(errors, last[1], None) if last else None
    if last and isinstance(kind, type) and issubclass(kind, (RefusedError, Interrupted)):
        return kind(text[last.end() :].strip())
    return None


def ask_to_stop(runs: Sequence[Path]) -> None:
    """Each run writes a checkpoint at its next step; waits for them as long as there is grace."""
    grace_s = float(os.environ.get(GRACE, DEFAULT_GRACE_S))
    for run in runs:
        ask(run)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and not all(ended(run) for run in runs):
        time.sleep(0.1)


def record_end(ledger: Ledger, status: str, why: str, how: str = "", timeout_s: float = 2.0) -> None:
    """Record that the sweep ends before it is done, its trials interrupted, and say how to go on.

    Args:
        status: of the sweep: "interrupted" or "failed".
        why: for the journals.
        how: what `--resume` needs besides.
        timeout_s: for the mirror.
    """
    try:
        for run in ledger.training():
            close(run, "interrupted", why)
            ledger.mirror.due(run)
        ledger.journal.write("end", status=status, error=why, metrics={})
        ledger.mirror.due(ledger.folder)
    except OSError as error:  # the storage may be full or gone, and a resumption needs none of this
        say(f"{ledger.sweep}: not recorded: {error}")
    say(f"{ledger.sweep} {status}: {why}; go on with --resume {ledger.sweep}{how}")
    ledger.mirror.close(timeout_s)


def exit_resumable(ledger: Ledger, why: str, how: str = "") -> None:
    """Record what is interrupted and end this process with exit code 75; a resumption does the rest.

    Leaving takes the trials' processes along, as Ray ends what a driver that is gone has started. An exception would
    not do: Tune would take it for a trial's.
    """
    record_end(ledger, "interrupted", why, how)
    os._exit(75)


def watched(ledger: Ledger, address: str) -> HeadMonitor:
    """A watch over the head at `address` that leaves when it is gone, since Ray would end us without a record."""
    why = f"nothing answers at {address}, the head of the cluster"
    return HeadMonitor(
        address, lambda: exit_resumable(ledger, why, " --address HOST:PORT once there is a head on the same storage")
    )


@contextlib.contextmanager
def stoppable(ledger: Ledger) -> Iterator[None]:
    """On SIGTERM (`ray job stop`) and SIGINT: let runs checkpoint, and leave with exit code 75.

    An error that ends the sweep is recorded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        ask_to_stop(ledger.training())
        exit_resumable(ledger, f"signal {number}")

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Exception as error:
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        record_end(ledger, status, f"{type(error).__name__}: {error}", timeout_s=60.0)
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
