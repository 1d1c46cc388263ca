"""The Pareto front of a sweep that searches for a high value at a low cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

UNITS = {"index_bytes": "bytes per image", "gpu_seconds": "GPU seconds", "worker_seconds": "worker seconds"}


def complete_trials(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The "trial" events of the full budget that have both a value and a cost."""
    return [t for t in trials if t["state"] == "complete" and None not in (t.get("value"), t.get("cost"))]


def front(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The complete trials that no other beats in both value and cost, cheapest first; the earlier of equals.

    Args:
        trials: "trial" events with "number", "value" (larger is better) and "cost" (smaller is better).
    """
    best: list[Mapping[str, Any]] = []
    for trial in sorted(complete_trials(trials), key=lambda trial: (trial["cost"], -trial["value"], trial["number"])):
        if not best or trial["value"] > best[-1]["value"]:
            best.append(trial)
    return best


def settings(params: Mapping[str, Any], names: Sequence[str]) -> str:
    """ "views=4, lr=0.001": the values of the named fields that a trial has."""
    values = ((name.rpartition(".")[2], params[name]) for name in names if name in params)
    return ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values)


def differing(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the fields in which the trials differ."""
    names = dict.fromkeys(name for trial in trials for name in trial["params"])
    return [name for name in names if len({repr(trial["params"].get(name)) for trial in trials}) > 1]
