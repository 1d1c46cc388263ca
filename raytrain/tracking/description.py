"""What MLflow shows first of a run or a sweep: a few sentences in Markdown, and a sweep's link to its best run."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import RaytrainError
from raytrain.tracking.measurements import headline, place_of
from raytrain.tracking.run_record import RunRecord, first_start
from raytrain.tracking.sweep_record import SearchIdentity

_MARKDOWN = re.compile(r"([\\`*_~|$<>\[\]]|&(?=#?\w+;))")


def describe_run(record: RunRecord, events: Sequence[Mapping[str, Any]], sweep: Path | None) -> str:
    """How a run ended, its best epoch, what its sweep changed, and what was measured of it afterwards.

    Args:
        record: of the run.
        events: of its journal.
        sweep: folder of the sweep that it belongs to; None of a run by itself, or where the sweep is not there.
    """
    ends = {"pruned": "Stopped early", "failed": "Failed", "interrupted": "Interrupted", "killed": "Killed"}
    end = ends.get(record.status or "", "")
    best = ""
    if record.best is not None:
        of_all = record.config.get("optim.num_epochs")
        best = f"{_value(record.select, record.best)} at epoch {record.best_epoch} of {of_all}"
    sentences = [": ".join(part for part in (_method_and_table(record.config), best) if part) + "."]
    if end:
        why = f": {escaped(_first_line(record.error))}" if record.error else ""
        sentences.append(f"{end} after {record.epochs} epochs{why}.")
    if sweep is not None and (settings := _searched(sweep, record.start.get("config") or {})):
        sentences.append(f"Settings tried by {escaped(sweep.name)}: {settings}.")
    shown = {place_of(event): headline(event) for event in events if event["event"] == "evaluation"}
    sentences += [f"{escaped(place)}: {escaped(text)}." for place, text in shown.items() if text]
    return " ".join(sentences)


def describe_sweep(events: Sequence[Mapping[str, Any]], address: str | None) -> tuple[str, dict[str, str]]:
    """The verdict of a sweep, and tags that name its best run: "best.run", "best.optim.lr", ...

    Tags, and not MLflow's params: a sweep that goes on may find a better run, and params cannot change.

    Args:
        events: of the sweep's journal.
        address: of its best run, in MLflow's pages; None where MLflow does not have it.
    """
    config: Mapping[str, Any] = first_start(events).get("config") or {}
    select = str(config.get("evaluation.select") or "val/rsum")
    trials, end, best = _trials(events), _end(events), _best_trial(events)
    states = [str(event["state"]) for event in trials.values()]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    of_all = f"{len(trials)} trials{f': {counts}' if counts else ''}."
    state = "Running" if end is None else "" if end["status"] == "finished" else str(end["status"]).capitalize()
    reason = f": {escaped(_first_line(end['error']))}" if end and end.get("error") else ""
    before = f"{state}{reason}. " if state else ""
    if best is None:
        return f"{before}{of_all}", {}
    name, leads = str(best["run"]), "leads" if end is not None else "leads so far"
    shown = f"[{escaped(name)}]({address})" if address else escaped(name)
    sentences = [f"{before}**{shown} {leads} with {_value(select, best['value'])}** on {escaped(_table(config))}."]
    recipe = trials.get(0, {}).get("value")
    if best["number"] == 0:
        sentences.append("It is the recipe itself (trial 0).")
    elif recipe is not None:
        sentences.append(f"The recipe (trial 0) has {recipe:.2f}, a difference of {best['value'] - recipe:+.2f}.")
    repeats = {int(row["number"]): row for row in events if row["event"] == "repeat" and "number" in row}
    sentences += [_seeds(repeats.get(int(best["number"]))), of_all]
    tags = {"best.run": name} | {f"best.{key}": _plain(value) for key, value in best["params"].items()}
    return " ".join(sentences), tags


def best_run_of(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Name of the run that a sweep chose, or that is ahead so far; None before any trial has a value."""
    best = _best_trial(events)
    return None if best is None else str(best["run"])


def _trials(events: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {int(event["number"]): event for event in events if event["event"] == "trial"}


def _end(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The end of a sweep; None of one that goes on."""
    lives = [event for event in events if event["event"] in ("start", "resume", "end")]
    return lives[-1] if lives and lives[-1]["event"] == "end" else None


def _best_trial(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The trial that the sweep chose; before its end the one that is ahead, a complete one first."""
    scored = [trial for _, trial in sorted(_trials(events).items()) if trial.get("value") is not None]
    chosen = (_end(events) or {}).get("best")
    if isinstance(chosen, Mapping):
        return next((trial for trial in scored if trial["run"] == chosen.get("run")), None)
    return max(scored, key=lambda trial: (trial["state"] == "complete", trial["value"]), default=None)


def _seeds(repeat: Mapping[str, Any] | None) -> str:
    values = (repeat or {}).get("values") or []
    if len(values) < 2 or repeat is None:
        return "Each trial has one seed, so that small differences may be chance."
    spread = f" (standard deviation {repeat['std']:.2f})" if repeat.get("std") is not None else ""
    return f"Over {len(values)} seeds its mean is {repeat['mean']:.2f}{spread}."


def _searched(sweep: Path, config: Mapping[str, Any]) -> str:
    """The settings of a run that its sweep searches: "optim.lr 0.0003, method.views 4"."""
    with contextlib.suppress(OSError, RaytrainError):
        names: Iterable[str] = SearchIdentity.read(sweep).space
        return ", ".join(f"{escaped(name)} {escaped(_plain(config[name]))}" for name in names if name in config)
    return ""


def _method_and_table(config: Mapping[str, Any]) -> str:
    return f"{escaped(str(config.get('method.kind', 'run')))} on {escaped(_table(config))}"


def _table(config: Mapping[str, Any]) -> str:
    return Path(str(config.get("data.table") or "unknown data")).name


def _value(name: str, value: float) -> str:
    return f"{escaped(name)} {value:.2f}"


def _plain(value: Any) -> str:
    """A setting as a person writes it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_line(text: Any) -> str:
    return (str(text or "").splitlines() or [""])[0][:300].rstrip(".")


def escaped(text: str) -> str:
    """The text on one line, with no sign that Markdown or HTML would take for an instruction."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
