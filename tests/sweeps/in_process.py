"""Sweeps in the test's own process: Tune is a loop here, and Ray Train calls the worker's function at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.cli.main import main
from raytrain.sweeps.trial import run_trial
from raytrain.sweeps.tune_trials import OpenSweep


@dataclass
class Place:
    """A folder with a table and run.yaml, of a run of one step; runs go to "runs" there."""

    root: Path

    @property
    def table(self) -> Path:
        return self.root / "table"

    def run(self, name: str) -> Path:
        return self.root / "runs" / "small" / name

    def train(self, *changes: str) -> int:
        return main(["train", str(self.root / "run.yaml"), "--tracking", "none", *changes])

    def sweep(self, *changes: str, space: str = "honest") -> int:
        flags = ["--recipe", str(self.root / "run.yaml"), "--rerank-trials", "0", "--tracking", "none"]
        return main(["sweep", space, *flags, *(changes if "--trials" in changes else ("--trials", "3", *changes))])


def honest(trial: Any) -> None:
    trial.suggest_float("method.margin", 0.1, 0.3)


class TrainsHere:
    """In place of Ray's TorchTrainer: calls the worker's function in this process."""

    def __init__(self, loop: Callable[[Any], None], train_loop_config: dict[str, Any], **settings: Any) -> None:
        self.work = lambda: loop(train_loop_config)

    def fit(self) -> None:
        self.work()


def trials_here(sweep: OpenSweep, samples: int, interrupted: list[int]) -> None:
    """In place of Tune; `interrupted` are the numbers of trials in the study that go on."""
    from optuna import Trial

    study, ledger = sweep.study, sweep.ledger
    for at in range(samples):
        trial = Trial(study, interrupted[at]) if at < len(interrupted) else study.ask()
        changes = {**(sweep.space(trial) or {}), **trial.params}
        ledger.started(trial.number, changes)
        run_trial({"number": trial.number, "changes": changes}, sweep.job)
        ledger.ended(trial.number, changes)
        study.tell(trial, ledger.recorded[trial.number]["value"])
