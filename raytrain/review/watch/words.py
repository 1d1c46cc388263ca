"""The words of `raytrain watch`: of its screen, and of its plain lines, one per change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from raytrain.data.progress import duration
from raytrain.review.escaping import plain
from raytrain.review.watch.progress import OpenRun, Progress


def counted(progress: Progress) -> str:
    """ "14 of 24 trials"."""
    unit = "epochs" if progress.kind == "run" else "trials"
    return f"{progress.done} of {progress.total} {unit}" if progress.total else f"{progress.done} {unit}"


def rate(progress: Progress) -> str:
    """ "12.3 trials per hour"; "" where it is not known."""
    if progress.per_hour is None:
        return ""
    return f"{progress.per_hour:.3g} {'epochs' if progress.kind == 'run' else 'trials'} per hour"


def left(progress: Progress) -> str:
    """ "about 48 min left", why that is not known, or "" where nothing goes on."""
    if progress.left_s is not None:
        early = f" ({progress.budget} may end it before)" if progress.budget else ""
        repeats = f", then {progress.repeats} runs over seeds" if progress.repeats else ""
        return f"about {duration(progress.left_s)} left{early}{repeats}"
    if progress.repeats and progress.total is not None and progress.done >= progress.total and not progress.has_ended:
        return f"{progress.repeats_done} of {progress.repeats} runs over seeds"
    return f"time left {progress.left_unknown}" if progress.left_unknown.startswith("not") else progress.left_unknown


def warning(progress: Progress) -> list[str]:
    """Lines on a sweep or run that stopped before its end: since when, and how to go on."""
    lines = []
    if progress.status == "silent" and progress.last is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(progress.last))
        who = "driver is" if progress.kind == "sweep" else "run is"
        lines.append(f"the {who} silent since {since} ({duration(progress.age_s)}), and no process here holds it")
    elif progress.error:
        lines.append(f"{progress.status}: {progress.error}")
    if progress.resume:
        lines.append(f"if it was killed, {progress.resume}" if progress.status == "silent" else progress.resume)
    return lines


def short_name(run: str, progress: Progress) -> str:
    """ "t003" of "sweep-t003": the sweep's name stands above it."""
    return run.removeprefix(f"{progress.name}-") if progress.kind == "sweep" else run


def params_text(params: Mapping[str, Any]) -> str:
    """ "optim.lr=0.000312 method.views=4"."""
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in params.items()
    )


def summary(progress: Progress) -> str:
    """The progress in a line."""
    best = progress.best
    leads = f"best {progress.metric} {best.value:.2f} ({best.run})" if best else ""
    states = ", ".join(f"{count} {state}" for state, count in progress.states.items() if count)
    parts = [progress.status, counted(progress), states, leads, rate(progress), left(progress)]
    return plain(f"{progress.name}: {'; '.join(part for part in parts if part)}")


def changes(before: Progress | None, now: Progress) -> list[str]:
    """A line for each thing that changed: a run that began, its new epoch, its end, what the whole does now."""
    if before is None:
        return [summary(now), *map(plain, warning(now))]
    lines = []
    runs_before = {run.run: run for run in before.running}
    runs_now = {run.run: run for run in now.running}
    for run in runs_now.values():
        earlier = runs_before.get(run.run)
        if earlier is None:
            lines.append(f"{run.run} trains, {_epochs(run)} done")
        elif run.epoch != earlier.epoch:
            value = "none" if run.value is None else f"{run.value:.2f}"
            lines.append(f"{run.run} epoch {_epochs(run)} {now.metric} {value}")
    failed = {failure.run: failure.error for failure in now.failures}
    for name in runs_before.keys() - runs_now.keys():
        lines.append(f"{name} ended" + (f", failed: {failed[name]}" if name in failed else ""))
    lines += [
        f"{failure.run} failed: {failure.error}"
        for failure in now.failures[len(before.failures) :]
        if failure.run not in runs_before
    ]
    best_before = before.best.value if before.best else None
    has_new_best = now.best is not None and (best_before is None or now.best.value > best_before)
    lines = [plain(line) for line in sorted(lines)]
    if (before.status, before.done) != (now.status, now.done) or has_new_best:
        lines.append(summary(now))
    if before.status != now.status:
        lines += map(plain, warning(now))
    return lines


def _epochs(run: OpenRun) -> str:
    return f"{run.epoch}/{run.epochs or '?'}"
