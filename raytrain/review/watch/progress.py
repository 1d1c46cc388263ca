"""How far a sweep or a run is, as values: best value, counts, rate, time left, what trains now, what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from raytrain.errors import Problem


@dataclass(frozen=True)
class Best:
    """The highest value so far.

    Args:
        run: that reached it.
        value: of the selection metric.
        params: the searched fields of the run.
        state: "complete", "pruned", "running" or another state of the run.
    """

    run: str
    value: float
    params: Mapping[str, Any]
    state: str


@dataclass(frozen=True)
class OpenRun:
    """A run that trains.

    Args:
        run: its name.
        epoch: epochs done.
        epochs: of the whole run; 0 where its journal does not say.
        value: newest value of the selection metric; None before the first.
        best: highest value.
        age_s: seconds since the last line of its journal.
        step, steps: done in the epoch that it trains, and in an epoch; 0 where that is not known.
    """

    run: str
    epoch: int
    epochs: int
    value: float | None
    best: float | None
    age_s: float
    step: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Failure:
    run: str
    error: str


@dataclass(frozen=True)
class Progress:
    """A sweep, or a run outside one, at one moment.

    Args:
        name: of the sweep or run.
        folder: of it.
        kind: "sweep" or "run".
        status: "starting" before its start is written, "running", "silent" when nothing was written for SILENT_S and no
            process that this host can see holds it; else as its journal's "end": "finished", "failed" and so on.
        metric: the selection metric.
        total: number of trials; of a run, of epochs. None where the journal does not say.
        done: trials recorded as ended, or epochs done.
        states: {"complete": ..., "pruned": ..., "failed": ..., "running": ..., "interrupted": ...} of the trials.
        best: None before the first value.
        running: runs that train, by name.
        failures: in the order of the trials.
        per_hour: trials (epochs) per hour since the driver (run) was started last; None where it is not known.
        left_s: seconds to the end at this rate; None where it is not known.
        left_unknown: why, in words; "" where it is known or the sweep has ended.
        repeats: number of runs over further seeds that follow the trials; repeats_done of them have ended.
        slots, slots_busy: workers that the cluster has room for (None where the journal does not say), and that train.
        last: when the last line was written, in seconds since 1970; None without one.
        age_s: seconds since then.
        resume: how to go on with it, in words, where it stopped before its end.
        error: of its end.
        budget: options that may end it before its last trial, as on the command line.
        problems: lines and files that are left out.
    """

    name: str
    folder: str
    kind: str
    status: str
    metric: str
    total: int | None = None
    done: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    best: Best | None = None
    running: Sequence[OpenRun] = ()
    failures: Sequence[Failure] = ()
    per_hour: float | None = None
    left_s: float | None = None
    left_unknown: str = ""
    repeats: int = 0
    repeats_done: int = 0
    slots: int | None = None
    slots_busy: int = 0
    last: float | None = None
    age_s: float = 0.0
    resume: str | None = None
    error: str | None = None
    budget: str = ""
    problems: Sequence[Problem] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the journal holds an end that nothing followed."""
        return self.status not in ("starting", "running", "silent")

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        fields = asdict(self)
        fields["skipped"] = fields.pop("problems")
        return fields
