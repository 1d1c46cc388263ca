"""A run as its journal records it: the one place that derives its best epoch, its metrics and how it ended."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from raytrain.config import completed
from raytrain.tracking.journal import Journal

Key = TypeVar("Key")


@dataclass(frozen=True)
class RunRecord:
    """What the journal of a run says.

    Attributes:
        folder: of the run.
        start: the first "start" event; {} before the run has started.
        uid: of the run; None before it has started.
        resumed: number of times that it was started again.
        epoch_events: {epoch: its "epoch" event}, by epoch; of an epoch that was trained again the last event.
        end: the "end" event, unless the run was started again after it.
    """

    folder: Path
    start: Mapping[str, Any]
    uid: str | None
    resumed: int
    epoch_events: Mapping[int, Mapping[str, Any]]
    end: Mapping[str, Any] | None

    @property
    def is_open(self) -> bool:
        """Whether the run has started and has no end yet."""
        return bool(self.start) and self.end is None

    @property
    def status(self) -> str | None:
        """ "finished", "pruned", "failed", "interrupted" or "killed"; None of a run without an end."""
        return str(self.end["status"]) if self.end else None

    @property
    def error(self) -> str | None:
        """The error that the run's end names; None where it names none."""
        return (self.end or {}).get("error")

    @cached_property
    def config(self) -> dict[str, Any]:
        """Flat settings by dotted names; fields that came after the run at their defaults."""
        return completed(self.start.get("config") or {})

    @cached_property
    def select(self) -> str:
        """The metric whose highest value makes an epoch the best one."""
        return str(self.config["evaluation.select"])

    @property
    def epochs(self) -> int:
        """Epochs done, over all lives of the run."""
        return max(self.epoch_events, default=0)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the last epoch; {} before the first one."""
        return self._metrics_of(self.epochs)

    @cached_property
    def best_epoch(self) -> int | None:
        """The epoch that the config selects, the earlier one of equals; None before the first epoch with a value."""
        return best_of((epoch, self._metrics_of(epoch).get(self.select)) for epoch in self.epoch_events)

    @property
    def best(self) -> float | None:
        """The selection metric of the best epoch."""
        return None if self.best_epoch is None else float(self.best_metrics[self.select])

    @property
    def best_metrics(self) -> dict[str, float]:
        """Metrics of the best epoch; {} where there is none."""
        return {} if self.best_epoch is None else self._metrics_of(self.best_epoch)

    @property
    def best_step(self) -> int | None:
        """The step at which the best epoch ended, which names its checkpoint."""
        return None if self.best_epoch is None else self.epoch_events[self.best_epoch].get("step")

    @cached_property
    def history(self) -> list[tuple[int, float]]:
        """(epoch, highest selection metric so far) after each epoch, from the first epoch with a value on."""
        history: list[tuple[int, float]] = []
        for epoch in self.epoch_events:
            value = self._metrics_of(epoch).get(self.select)
            if value is not None:
                history.append((epoch, max(value, history[-1][1]) if history else value))
            elif history:
                history.append((epoch, history[-1][1]))
        return history

    def _metrics_of(self, epoch: int) -> dict[str, float]:
        return self.epoch_events.get(epoch, {}).get("metrics") or {}


def read_run(folder: Path) -> RunRecord:
    """The record of the run in `folder`; an empty one where nothing has been written yet."""
    return run_record(folder, Journal(folder).read())


def run_record(folder: Path, events: Sequence[Mapping[str, Any]]) -> RunRecord:
    """The record of a run from the events of its journal, in their order."""
    uid: str | None = None
    epoch_events: dict[int, Mapping[str, Any]] = {}
    end: Mapping[str, Any] | None = None
    resumed = 0
    for event in events:
        if event["event"] in ("start", "resume"):
            uid, end = event.get("uid", uid), None
            resumed += event["event"] == "resume"
        elif event["event"] == "epoch":
            epoch_events[int(event["epoch"])] = event
        elif event["event"] == "end":
            end = event
    return RunRecord(folder, first_start(events), uid, resumed, dict(sorted(epoch_events.items())), end)


def step_of(checkpoint: object) -> int | None:
    """The step that a checkpoint's name carries: 936 of checkpoint_00000936."""
    digits = re.search(r"\d+$", str(checkpoint))
    return int(digits[0]) if digits else None


def first_start(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first "start" event of a journal, of a run or of a sweep; {} where there is none."""
    return next((event for event in events if event["event"] == "start"), {})


def best_of(values: Iterable[tuple[Key, float | None]]) -> Key | None:
    """The key of the highest value, the first of equals; None where no value is a finite number.

    What "best" means, for the epochs of a journal and for the checkpoints of a folder.
    """
    best_key, best_value = None, -math.inf
    for key, value in values:
        if value is not None and math.isfinite(value) and value > best_value:
            best_key, best_value = key, value
    return best_key


def close_run(folder: Path, status: str, error: str | None = None) -> None:
    """Write the end of a run whose own process could not, since it was stopped or killed; nothing where it has one."""
    if read_run(folder).is_open:
        Journal(folder).write("end", status=status, error=error, metrics={})
