"""The Pareto front of a sweep that kept a cost low: as trials, as a chart, and as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from raytrain.review.plots import Point, chart

UNITS = {"index_bytes": "bytes an image", "gpu_seconds": "GPU seconds", "worker_seconds": "worker seconds"}


def front(trials: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trials that no other one beats in both value and cost, cheapest first; the earlier one of equals.

    Args:
        trials: "trial" events with "number", "value" (larger is better) and "cost" (smaller is better); those that
            miss one of the two, and those that were stopped early, are no part of it.
    """
    whole = [one for one in trials if one["state"] == "complete" and None not in (one["value"], one.get("cost"))]
    found: list[Mapping[str, Any]] = []
    for one in sorted(whole, key=lambda one: (one["cost"], -one["value"], one["number"])):
        if not found or one["value"] > found[-1]["value"]:
            found.append(one)
    return found


def front_chart(trials: Sequence[Mapping[str, Any]], cost: str) -> str:
    """Value by cost of the trials of the full budget; the line joins the front."""
    best = front(trials)
    chosen = {one["number"] for one in best}
    series: dict[str, list[Point]] = {"front": [], "others": []}
    for one in trials:
        if one["state"] == "complete" and None not in (one["value"], one.get("cost")):
            tip = f"{one['run']}: {one['value']:.2f} at {one['cost']:,.0f} {UNITS[cost]}"
            series["front" if one["number"] in chosen else "others"].append((one["cost"], one["value"], tip))
    line = [(one["cost"], one["value"], "") for one in best]
    return chart(list(series.items()), line, UNITS[cost], "validation value; line: what nothing beats in both")


def front_table(trials: Sequence[Mapping[str, Any]], cost: str) -> str:
    """The front as rows of HTML: run, settings that differ, cost and value."""
    best = front(trials)
    told = [name for name in _names(best) if len({repr(one["params"].get(name)) for one in best}) > 1]
    rows = "".join(
        f'<tr><td class="left">{escape(one["run"])}</td><td class="left">{escape(settings(one["params"], told))}</td>'
        f"<td>{one['cost']:,.0f}</td><td>{one['value']:.1f}</td></tr>"
        for one in best
    )
    heads = f'<th class="left">Run</th><th class="left">Settings</th><th>{UNITS[cost]}</th><th>Value</th>'
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if best else ""


def settings(params: Mapping[str, Any], names: Sequence[str]) -> str:
    """ "views=4, lr=0.001" of the names that a trial has."""
    values = ((name.rpartition(".")[2], params[name]) for name in names if name in params)
    return ", ".join(f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values)


def _names(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in trials for name in one["params"]))
