"""The progress that journals record: a pure function of what was read, and of the time."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from raytrain.review.watch.journals import SILENT_S, Journals, RunJournal
from raytrain.review.watch.pace import Pace, pace_of_run, pace_of_sweep
from raytrain.review.watch.progress import Best, Failure, OpenRun, Progress
from raytrain.tracking.run_record import first_start

Event = Mapping[str, Any]
STATES = ("complete", "pruned", "failed", "running", "interrupted")
STOPPED = ("silent", "interrupted", "killed")
"""A sweep or run of this status can be resumed."""
BUDGETS = ("hours", "gpu_hours")


def progress_of(journals: Journals, now: float) -> Progress:
    """How far the sweep or run is.

    Args:
        journals: as they were read.
        now: seconds since 1970, by a clock that agrees with those of the hosts that write.
    """
    return _of_sweep(journals, now) if journals.is_sweep else _of_run(journals, now)


def _of_sweep(journals: Journals, now: float) -> Progress:
    events, start = journals.events, first_start(journals.events)
    options, config = start.get("options") or {}, start.get("config") or {}
    beginnings = [event for event in events if event["event"] in ("start", "resume")]
    end = _end_of(events)
    status = _status(bool(start), end, journals, now)
    recorded = [event for _, event in sorted({int(e["number"]): e for e in events if e["event"] == "trial"}.items())]
    states = {name: _state_of(run, end is not None) for name, run in journals.runs.items()}
    trials = {name: run for name, run in journals.runs.items() if _is_trial(name)}
    counts = [str(event["state"]) for event in recorded] + [states[name] for name in trials]
    running = {name: run for name, run in journals.runs.items() if states[name] == "running"}
    total = next((b["trials"] for b in reversed(beginnings) if b.get("trials")), options.get("trials"))
    pace = Pace()
    if status == "running":
        training = [run for name, run in running.items() if name in trials]
        pace = pace_of_sweep(recorded, training, total, float(beginnings[-1]["time"]), now)
    failures = [(str(e["run"]), e.get("error")) for e in recorded if e["state"] == "failed"]
    failures += [(name, run.record.error) for name, run in trials.items() if states[name] == "failed"]
    slots = [event["slots"] for event in events if event.get("slots") is not None]
    workers = int(start.get("workers") or 1)
    return Progress(
        name=str(start.get("run") or journals.folder.name),
        folder=str(journals.folder),
        kind="sweep",
        status=status,
        metric=str(config.get("evaluation.select") or "value"),
        total=total,
        done=len(recorded),
        states={state: counts.count(state) for state in STATES},
        best=_best_of(journals, recorded, states, end),
        running=[_open_run(name, run, now) for name, run in running.items()],
        failures=[Failure(run, _one_line(error)) for run, error in failures],
        per_hour=pace.per_hour,
        left_s=pace.left_s,
        left_unknown=pace.unknown,
        repeats=int(options.get("repeat_best") or 0) * int(options.get("repeat_seeds") or 0),
        repeats_done=sum(state == "complete" for name, state in states.items() if not _is_trial(name)),
        slots=slots[-1] if slots else None,
        slots_busy=len(running) * workers if status == "running" else 0,
        last=journals.last,
        age_s=_age(journals.last, now),
        resume=f"to go on: {_resume_command(journals, start)}" if status in STOPPED else None,
        error=end.get("error") if end else None,
        budget=" ".join(f"--{name.replace('_', '-')} {options[name]:g}" for name in BUDGETS if options.get(name)),
        problems=journals.problems,
    )


def _of_run(journals: Journals, now: float) -> Progress:
    (run,) = journals.runs.values()
    record = run.record
    status = _status(bool(record.start), record.end, journals, now)
    pace = pace_of_run(run, now) if status == "running" else Pace()
    best = None if record.best is None else Best(record.folder.name, record.best, {}, f"epoch {record.best_epoch}")
    return Progress(
        name=str(record.start.get("run") or record.folder.name),
        folder=str(record.folder),
        kind="run",
        status=status,
        metric=record.select,
        total=run.epochs or None,
        done=record.epochs,
        best=best,
        running=[_open_run(record.folder.name, run, now)] if record.is_open else [],
        per_hour=pace.per_hour,
        left_s=pace.left_s,
        left_unknown=pace.unknown,
        slots_busy=int(record.start.get("workers") or 1) if status == "running" else 0,
        last=journals.last,
        age_s=_age(journals.last, now),
        resume="to go on: the command that started it" if status in STOPPED else None,
        error=record.error,
        problems=journals.problems,
    )


def _end_of(events: Sequence[Event]) -> Event | None:
    """The end of a sweep's journal, unless it was started again after it."""
    lasting = [event for event in events if event["event"] in ("start", "resume", "end")]
    return lasting[-1] if lasting and lasting[-1]["event"] == "end" else None


def _status(has_started: bool, end: Event | None, journals: Journals, now: float) -> str:
    if end is not None:
        return str(end["status"])
    if _age(journals.last, now) > SILENT_S and not journals.is_held:
        return "silent"
    return "running" if has_started else "starting"


def _state_of(run: RunJournal, sweep_is_over: bool) -> str:
    """One of STATES, of a run that its sweep has not recorded, or not yet."""
    status = run.record.status
    if status is None:
        return "interrupted" if sweep_is_over else "running"
    return {"finished": "complete", "killed": "interrupted"}.get(status, status)


def _best_of(
    journals: Journals, recorded: Sequence[Event], states: Mapping[str, str], end: Event | None
) -> Best | None:
    """What the sweep chose, once it has ended; before that the highest value, the earlier trial of equals."""
    chosen = (end or {}).get("best")
    if isinstance(chosen, Mapping) and isinstance(chosen.get("value"), (int, float)):
        return Best(str(chosen.get("run")), float(chosen["value"]), dict(chosen.get("params") or {}), "chosen")
    candidates = [
        Best(str(event["run"]), float(event["value"]), event["params"], str(event["state"]))
        for event in recorded
        if event.get("value") is not None
    ]
    for name, run in journals.runs.items():
        if run.record.best is not None and _is_trial(name):
            config = run.record.start.get("config") or {}
            params = {field: config[field] for field in journals.searched if field in config}
            candidates.append(Best(name, run.record.best, params, states[name]))
    return max(candidates, key=lambda best: best.value, default=None)


def _open_run(name: str, run: RunJournal, now: float) -> OpenRun:
    record = run.record
    newest, position = record.metrics.get(record.select), run.position
    # a position that is read just before the line of its epoch is of the epoch before
    step, steps = (position.step, position.steps) if position and position.epochs == record.epochs else (0, 0)
    return OpenRun(name, record.epochs, run.epochs, newest, record.best, _age(run.last, now), step, steps)


def _one_line(error: object) -> str:
    return next(iter(str(error or "").strip().splitlines()), "no reason recorded")


def _is_trial(run: str) -> bool:
    """Whether a run of a sweep is a trial (sweep-t003), and no repetition of one (sweep-t003-s1)."""
    return re.search(r"-t\d+-s\d+$", run) is None


def _age(time: float | None, now: float) -> float:
    return 0.0 if time is None else max(0.0, now - time)


def _resume_command(journals: Journals, start: Event) -> str:
    return f"raytrain sweep {start.get('space') or 'SPACE'} --resume {shlex.quote(str(journals.folder))}"
