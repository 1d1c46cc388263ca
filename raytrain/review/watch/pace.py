"""The rate of a sweep or run, and the time left at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from raytrain.review.watch.journals import RunJournal

HOUR_S = 3600.0


class Pace(NamedTuple):
    """Trials (of a run: epochs) per hour, and seconds left; None where they are not known, and `unknown` says why."""

    per_hour: float | None = None
    left_s: float | None = None
    unknown: str = ""


def pace_of_sweep(
    recorded: Sequence[Mapping[str, Any]],
    running: Sequence[RunJournal],
    total: int | None,
    began: float,
    now: float,
) -> Pace:
    """The pace of the sweep's trials since its driver was started last.

    Counted are the trials that ended since then, and of each that trains the part that its epochs since then are of the
    mean epochs of ended trials. What is left goes on at this rate; where no trial is left to start, the slowest of
    those that train goes on at its own.

    Args:
        recorded: "trial" events of the sweep.
        running: trials that train.
        total: number of trials; None where it is not known.
        began: when the driver was started last, in seconds since 1970.
        now: in seconds since 1970.
    """
    lengths = [int(event["epochs"]) for event in recorded if event.get("epochs")]
    ended = sum(float(event["time"]) >= began for event in recorded)
    if total is not None and len(recorded) >= total:
        return Pace(unknown="all trials have ended")
    if not ended or not lengths:
        return Pace(unknown="not known before a trial has ended")
    mean_epochs = sum(lengths) / len(lengths)
    new_epochs = [sum(time >= began for time in _epoch_times(run)) for run in running]
    done = ended + sum(min(1.0, epochs / mean_epochs) for epochs in new_epochs)
    rate = done / max(now - began, 1e-9)  # trials per second
    if total is None:
        return Pace(rate * HOUR_S, None, "not known: the journal does not say how many trials there will be")
    to_start = total - len(recorded) - len(running)
    ends = [seconds_left(run, now) for run in running]
    if to_start <= 0 and ends and None not in ends:
        return Pace(rate * HOUR_S, max(end for end in ends if end is not None))
    part_done = sum(min(1.0, run.record.epochs / mean_epochs) for run in running)
    return Pace(rate * HOUR_S, max(0.0, total - len(recorded) - part_done) / rate)


def pace_of_run(run: RunJournal, now: float) -> Pace:
    """Epochs per hour of the run's present life, and the time to its last epoch."""
    seconds = seconds_per_epoch(run)
    if seconds is None:
        return Pace(unknown="not known before the first epoch")
    left_s = seconds_left(run, now)
    return Pace(
        HOUR_S / seconds, left_s, "" if left_s is not None else "not known: the number of epochs is not recorded"
    )


def seconds_per_epoch(run: RunJournal) -> float | None:
    """Mean seconds per epoch of the run's present life, its beginning included; None before its first epoch."""
    if run.began is None:
        return None
    times = [time for time in _epoch_times(run) if time >= run.began]
    return max(max(times) - run.began, 1e-9) / len(times) if times else None


def seconds_left(run: RunJournal, now: float) -> float | None:
    """Seconds to the run's last epoch at its own pace; None where it is not known."""
    seconds = seconds_per_epoch(run)
    if seconds is None or not run.epochs or run.last is None:
        return None
    return max(0.0, seconds * (run.epochs - run.record.epochs) - max(0.0, now - run.last))


def _epoch_times(run: RunJournal) -> list[float]:
    return [float(event["time"]) for event in run.record.epoch_events.values()]
