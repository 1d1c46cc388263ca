"""The sweep's record of its trials, kept by the sweep's own process."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig
from raytrain.errors import argument
from raytrain.progress import say
from raytrain.sweeps.objectives import cost_of
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.study import outcome
from raytrain.sweeps.trial import trial_name
from raytrain.sweeps.trial_error import TrialError
from raytrain.tracking.follow import QUIET_S, position_of
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.run_record import RunRecord, close_run, read_run


class Ledger:
    """The "trial" events of the sweep's journal, one per trial, and the lines on the screen.

    Attributes:
        recorded: {number: "trial" event} of the trials that have ended.
        running: {number: changes of the recipe} of the trials that are training.
        handed_out_again: numbers of trials whose process was lost before they began; they run once more at the end.
        repeating: folder of the run that repeats a trial with another seed; None while none does.
        go_on: what the user does once the sweep was interrupted, in words.
    """

    def __init__(
        self, base: RunConfig, sweep: str, options: SweepOptions, mirror: Mirror, go_on: str | None = None
    ) -> None:
        self.base, self.sweep, self.options, self.mirror = base, sweep, options, mirror
        self.go_on = go_on or f"go on with {argument('resume', sweep)}"
        self.select = base.evaluation.select
        self.folder = base.folder.parent / sweep
        self.journal = Journal(self.folder)
        self.recorded = {int(e["number"]): e for e in self.journal.read() if e["event"] == "trial"}
        self.running: dict[int, Mapping[str, Any]] = {}
        self.handed_out_again: set[int] = set()
        self.repeating: Path | None = None
        self._shown_epoch: dict[int, int] = {}
        self._spoke, self._last_positions = time.monotonic(), ""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restoration of its own, which never happens."""
        return {}

    def run_folder(self, number: int) -> Path:
        return self.base.folder.parent / trial_name(self.sweep, number)

    def training(self) -> list[Path]:
        """Folders of the runs that are training: trials, or the repetition of one."""
        return [self.run_folder(number) for number in [*self.running]] + ([self.repeating] if self.repeating else [])

    def run(self, number: int) -> RunRecord:
        """The record of a trial's run."""
        return read_run(self.run_folder(number))

    def started(self, number: int, changes: Mapping[str, Any]) -> None:
        self.running[number] = changes
        values = ", ".join(f"{name}={_short(value)}" for name, value in changes.items())
        self._say(f"{self.run_folder(number).name} starts: {values}")

    def epoch(self, number: int, epoch: int, best: float) -> None:
        """Show an epoch of a trial, with its best value so far and the best of the sweep."""
        if epoch <= self._shown_epoch.get(number, 0):
            return  # the last report of a trial repeats its last epoch
        self._shown_epoch[number] = epoch
        leader = self.leader()
        ahead = f"; best so far {leader['value']:.2f} ({leader['run']})" if leader else ""
        epochs = self.running.get(number, {}).get("optim.num_epochs", self.base.optim.num_epochs)
        self._say(f"{self.run_folder(number).name} epoch {epoch}/{epochs} best {self.select} {best:.2f}{ahead}")
        self.mirror.due(self.run_folder(number))

    def ended(self, number: int, changes: Mapping[str, Any], error: str | None = None) -> None:
        """Record a trial, once; close its run where an early stop or a failure left it open."""
        self.running.pop(number, None)
        if number in self.recorded:
            return
        folder = self.run_folder(number)
        if error is None and self.run(number).best is None:
            error = "no metrics were reported"
        if error is not None:
            close_run(folder, "failed", error)
        elif outcome(self.run(number)) is None:
            # stopped early; workers that lost their driver may have recorded that as a failure before
            Journal(folder).write("end", status="pruned", error=None, metrics={})
        run = self.run(number)
        state = "failed" if error is not None else outcome(run)
        event = {
            "number": number,
            "run": folder.name,
            "params": dict(changes),
            "state": state,
            "value": run.best if state != "failed" else None,
            "epochs": run.epochs,
            "error": error,
        }
        if self.options.cost:
            event["cost"] = cost_of(run, self.options.cost)
        self.journal.write("trial", **event)
        self.recorded[number] = event
        value = f"{self.select} {run.best:.2f}" if run.best is not None and state != "failed" else error
        self._say(f"{folder.name} {state} after {run.epochs} epochs: {value}", {"event": "trial", **event})
        self.mirror.due(folder)
        self.mirror.due(self.folder)

    def say_positions(self) -> None:
        """After a while without a line, say how far the trials that train are within their epochs."""
        if not self.running or time.monotonic() - self._spoke < QUIET_S:
            return
        folders = [self.run_folder(number) for number in self.running]
        positions = "; ".join(f"{folder.name} {position}" for folder in folders if (position := position_of(folder)))
        if positions and positions != self._last_positions:
            self._last_positions = positions
            self._say(positions)

    def _say(self, line: str, event: Mapping[str, Any] | None = None) -> None:
        say(f"[{len(self.recorded)}/{self.options.trials}] {line}", event["run"] if event else None, event)
        self._spoke = time.monotonic()

    def leader(self) -> dict[str, Any] | None:
        """The best trial of the full budget, else the best that was stopped early; the earlier one of equals."""
        scored = [event for _, event in sorted(self.recorded.items()) if event.get("value") is not None]
        return max(scored, key=lambda event: (event["state"] == "complete", event["value"]), default=None)

    def has_room(self, trials: int) -> None:
        """Record that nodes came or went, and that the cluster has room for `trials` trials from now on."""
        self.journal.write("room", slots=trials * self.options.workers)

    def never_began(self, number: int) -> bool:
        """Whether a failed trial's process was lost before it could train, as between two trials, the first time.

        Tune restarts a trial that is training, but not one that it was about to hand to the process of the former one.
        """
        single_worker = self.options.workers == 1
        return single_worker and number not in self.handed_out_again and self.run(number).uid is None

    def left(self) -> int:
        """Number of trials that have not ended."""
        return self.options.trials - len(self.recorded)

    def gpu_seconds(self) -> float:
        """What the trials that ended and those that are training have spent, according to their journals."""
        runs = (self.run(number) for number in {*self.recorded, *self.running})
        return sum(run.metrics.get("cost/gpu_seconds", 0.0) for run in runs)

    def counts(self) -> dict[str, int]:
        """{"total": ..., "complete": ..., "pruned": ..., "failed": ...} of the trials that have ended."""
        states = [event["state"] for event in self.recorded.values()]
        return {"total": len(states), **{state: states.count(state) for state in ("complete", "pruned", "failed")}}


def recorder(ledger: Ledger) -> Any:
    """The ledger as a Tune callback, which runs in the sweep's own process."""
    from ray import tune

    class Recorder(tune.Callback):  # type: ignore[misc]
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ledger.started(trial.config["number"], trial.config["changes"])

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            if math.isfinite(result["best"]):
                ledger.epoch(trial.config["number"], int(result["epoch"]), result["best"])

        def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
            ledger.say_positions()

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            error = TrialError.reported_in(trial.last_result)
            ledger.ended(trial.config["number"], trial.config["changes"], str(error) if error else None)

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = trial.config["number"]
            if ledger.never_began(number):
                ledger.handed_out_again.add(number)
                ledger.running.pop(number, None)
                say(f"{ledger.run_folder(number).name} lost its process before it began; it is tried again at the end")
                return
            error = ledger.run(number).error or f"its driver was lost: {_last_line(trial.error_file)}"
            ledger.ended(number, trial.config["changes"], error)

    return Recorder()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _last_line(path: str | None) -> str:
    try:
        return Path(path or "").read_text(encoding="utf-8").strip().splitlines()[-1]
    except (OSError, IndexError):
        return "no message"
