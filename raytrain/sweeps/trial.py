"""One trial of a sweep: its config, what its driver runs, and how the sweep's process records it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raytrain.cluster.resources import HEAD, per_worker
from raytrain.config import RunConfig, override, validate
from raytrain.sweeps.objectives import COSTS, cost_of
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.space import refuse_to_judge_anew
from raytrain.sweeps.study import outcome
from raytrain.tracking.follow import say
from raytrain.tracking.journal import Journal
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.progress import Progress, close, progress


def trial_config(base: RunConfig, sweep: str, number: int, changes: Mapping[str, Any]) -> RunConfig:
    """The run of a trial: `<sweep>-t003` beside the sweep's folder.

    Raises:
        RefusedError: the changes are of what a trial is judged by.
    """
    refuse_to_judge_anew(changes)
    return override(base, {**changes, "name": f"{sweep}-t{number:03d}"})


def run_trial(config: dict[str, Any], job: dict[str, Any]) -> None:
    """What Tune runs for a trial: its training, or with several workers the driver of a Ray Train run.

    At module level, so that Ray can send it.

    Args:
        config: {"number": ..., "changes": ...} as the search drew it.
        job: what all trials share: base, sweep, parent, fingerprint (of the table), workers, use_gpu,
            resources_per_worker, max_failures.
    """
    run = trial_config(validate(job["base"]), job["sweep"], config["number"], config["changes"])
    if job["workers"] == 1:
        from raytrain.sweeps.single_worker import run_alone

        run_alone(run, per_worker(job["use_gpu"], job["resources_per_worker"]), job["parent"], job["fingerprint"])
        return
    from ray import tune
    from ray.tune.integration.ray_train import TuneReportCallback

    from raytrain.cluster.ray_train import train_on_ray

    done = train_on_ray(
        run,
        workers=job["workers"],
        use_gpu=job["use_gpu"],
        resources_per_worker=job["resources_per_worker"],
        max_failures=job["max_failures"],
        parent=job["parent"],
        fingerprint=job["fingerprint"],
        callbacks=[TuneReportCallback()],
        follow=False,
    )
    # a trial resumed after its last epoch has reported nothing yet
    if done.best is not None:
        costs = {name: value for name, value in done.metrics.items() if name in COSTS.values()}
        tune.report({"best": done.best, "epoch": done.epochs, **costs})


def reserved(job: Mapping[str, Any]) -> Any:
    """What Tune reserves for a trial: the worker's own resources, wherever they are free; of several workers nothing.

    With several, Tune's process only waits for those that Ray Train starts: it takes no CPU worth counting, and a
    sliver of the head's marker, since one pinned to a node that dies would wait for ever.
    """
    from ray import tune

    alone = job["workers"] == 1
    worker = per_worker(job["use_gpu"], job["resources_per_worker"]) if alone else {"CPU": 0, HEAD: 0.0001}
    return tune.PlacementGroupFactory([worker])


class Ledger:
    """The sweep's own record of its trials: the journal's "trial" events, one a trial, and the lines on the screen."""

    def __init__(self, base: RunConfig, sweep: str, options: SweepOptions, mirror: Mirror) -> None:
        self.base, self.sweep, self.options, self.mirror = base, sweep, options, mirror
        self.select = base.evaluation.select
        self.folder = base.folder.parent / sweep
        self.journal = Journal(self.folder)
        self.recorded = {int(e["number"]): e for e in self.journal.read() if e["event"] == "trial"}
        self.running: dict[int, Mapping[str, Any]] = {}
        self.again: set[int] = set()
        self.repeating: Path | None = None
        self.said: dict[int, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restoration of its own, which is never asked for."""
        return {}

    def run_folder(self, number: int) -> Path:
        return self.base.folder.parent / f"{self.sweep}-t{number:03d}"

    def training(self) -> list[Path]:
        """The runs that train now: trials, or the repetition of one."""
        return [self.run_folder(number) for number in [*self.running]] + ([self.repeating] if self.repeating else [])

    def progress(self, number: int) -> Progress:
        return progress(self.run_folder(number), self.select)

    def started(self, number: int, changes: Mapping[str, Any]) -> None:
        self.running[number] = changes
        drawn = ", ".join(f"{name}={_short(value)}" for name, value in changes.items())
        say(f"[{len(self.recorded)}/{self.options.trials}] {self.run_folder(number).name} starts: {drawn}")

    def epoch(self, number: int, epoch: int, best: float) -> None:
        if epoch <= self.said.get(number, 0):
            return  # the last report of a trial repeats its last epoch
        self.said[number] = epoch
        leader = self.leader()
        ahead = f"; best so far {leader['value']:.2f} ({leader['run']})" if leader else ""
        say(
            f"[{len(self.recorded)}/{self.options.trials}] {self.run_folder(number).name} "
            f"epoch {epoch}/{self.base.optim.num_epochs} best {self.select} {best:.2f}{ahead}"
        )
        self.mirror.due(self.run_folder(number))

    def ended(self, number: int, changes: Mapping[str, Any], error: str | None = None) -> None:
        """Record a trial, once; close its run where an early stop or a failure left it open."""
        self.running.pop(number, None)
        if number in self.recorded:
            return
        folder = self.run_folder(number)
        if error is None and self.progress(number).best is None:
            error = "no metrics were reported"
        if error is not None:
            close(folder, "failed", error)
        elif outcome(self.progress(number)) is None:
            # stopped early; workers that lost their driver may have called that a failure before
            Journal(folder).write("end", status="pruned", error=None, metrics={})
        run = self.progress(number)
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
        say(f"[{len(self.recorded)}/{self.options.trials}] {folder.name} {state} after {run.epochs} epochs: {value}")
        self.mirror.due(folder)
        self.mirror.due(self.folder)

    def leader(self) -> dict[str, Any] | None:
        """The best trial of the full budget, else the best that was stopped early; the earlier one of equals."""
        scored = [event for _, event in sorted(self.recorded.items()) if event["value"] is not None]
        return max(scored, key=lambda event: (event["state"] == "complete", event["value"]), default=None)

    def has_room(self, trials: int) -> None:
        """Nodes came or went: so many trials fit from now on."""
        self.journal.write("room", slots=trials * self.options.workers)

    def never_began(self, number: int) -> bool:
        """Whether a failed trial's process was lost before it could train, as between two trials, the first time.

        Tune tries a trial again that trains, and not one that is just handed to the process of the one before.
        """
        return self.options.workers == 1 and number not in self.again and self.progress(number).uid is None

    def left(self) -> int:
        """Trials that have not ended."""
        return self.options.trials - len(self.recorded)

    def gpu_seconds(self) -> float:
        """What the trials that ended and those that train have spent, as far as their journals tell."""
        runs = (self.progress(number) for number in {*self.recorded, *self.running})
        return sum(run.metrics.get("cost/gpu_seconds", 0.0) for run in runs)

    def counts(self) -> dict[str, int]:
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

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = trial.config["number"]
            # as `run_alone` tells it
            ledger.ended(number, trial.config["changes"], trial.last_result.get("error"))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = trial.config["number"]
            if ledger.never_began(number):
                ledger.again.add(number)
                ledger.running.pop(number, None)
                say(f"{ledger.run_folder(number).name} lost its process before it began; it is tried again at the end")
                return
            end = ledger.progress(number).end
            error = (end or {}).get("error") or f"its driver was lost: {_last_line(trial.error_file)}"
            ledger.ended(number, trial.config["changes"], error)

    return Recorder()


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _last_line(path: str | None) -> str:
    try:
        return Path(path or "").read_text(encoding="utf-8").strip().splitlines()[-1]
    except (OSError, IndexError):
        return "no message"
