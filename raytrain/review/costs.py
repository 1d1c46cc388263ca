"""The cost of sweeps and runs: as rows of text, and as a line of a sweep's journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import UsageError
from raytrain.review.accounting import Events, SweepCost, read_journals, sweep_costs, usages
from raytrain.review.escaping import plain
from raytrain.review.prices import Prices
from raytrain.tracking.journal import Journal

HEADERS = (
    "sweep", "trials", "wall", "slots", "worker h", "GPU h", "busy", "lost", "waited", "restarts", "money", "held",
)  # fmt: skip
READING = (
    "Busy, lost and waited are shares of the slots' time while the sweep's driver was running: busy trained what was "
    "kept; lost was trained again or held through a failure; the rest waited for start-ups and for the last trials. "
    "Money is the price of the workers' work and losses, held that of all slots over that time."
)


def record_sweep_cost(folder: Path, prices: Prices | None = None, tracking_uri: str | None = None) -> SweepCost:
    """Write a finished sweep's cost into its journal, and to MLflow where there is one; returns the cost.

    Raises:
        UsageError: the folder holds no sweep.
    """
    journals = read_journals(folder.parent.parent, folder.parent.name)
    cost = next((cost for cost in sweep_costs(journals, prices) if Path(cost.folder) == folder.resolve()), None)
    if cost is None:
        raise UsageError(f"{folder} is no sweep")
    Journal(folder).write("cost", metrics=cost.metrics(), currency=cost.currency, prices_date=cost.prices_date)
    if tracking_uri:
        from raytrain.tracking.mirror import Mirror

        with Mirror(tracking_uri) as mirror:
            mirror.due(folder)
    return cost


def run_costs(journals: Mapping[Path, Events], prices: Prices | None = None) -> list[dict[str, Any]]:
    """The cost of each run, by folder: {"run", "experiment", "sweep" (None outside a sweep), ..., "money"}."""
    starts = {folder: next((e for e in events if e["event"] == "start"), {}) for folder, events in journals.items()}
    sweeps = {start.get("uid"): folder.name for folder, start in starts.items() if start.get("kind") == "sweep"}
    return [
        {
            "run": folder.name,
            "experiment": folder.parent.name,
            "sweep": sweeps.get(starts[folder].get("parent")),
            **{unit: getattr(used, unit) for unit in ("worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds")},
            "restarts": used.restarts,
            "device": used.device,
            "money": used.money(prices),
        }
        for folder, used in sorted(usages(journals).items())
    ]


def run_lines(runs: Sequence[Mapping[str, Any]], prices: Prices | None = None) -> list[tuple[str, ...]]:
    """A header and a row per run of `run_costs`."""
    units = ("worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds", "restarts")
    lines: list[tuple[str, ...]] = [("run", "sweep", "worker s", "GPU s", "CPU s", "lost s", "restarts", "money")]
    for run in runs:
        money = "" if run["money"] is None or prices is None else f"{run['money']:.2f} {prices.currency}"
        lines.append((run["run"], run["sweep"] or "", *(f"{run[unit]:.0f}" for unit in units), money))
    return lines


def cost_lines(costs: Sequence[SweepCost]) -> list[tuple[str, ...]]:
    """HEADERS and a row per sweep."""
    return [HEADERS, *(_cells(cost) for cost in costs)]


def _cells(cost: SweepCost) -> tuple[str, ...]:
    trials = ", ".join(f"{of_state['trials']:g} {state}" for state, of_state in sorted(cost.trials.items()))
    waited = max(0.0, 1.0 - cost.busy - cost.lost)
    return (
        cost.sweep, trials, clock(cost.wall_seconds), str(cost.slots), f"{cost.worker_seconds / 3600:.2f}",
        f"{cost.gpu_seconds / 3600:.2f}", f"{cost.busy:.0%}", f"{cost.lost:.1%}", f"{waited:.0%}",
        str(cost.restarts + cost.driver_restarts), _amount(cost.money, cost), _amount(cost.held_money, cost),
    )  # fmt: skip


def runs_text(runs: Sequence[Mapping[str, Any]], prices: Prices | None = None) -> str:
    """Plain columns of `run_costs`."""
    return _aligned(run_lines(runs, prices)) if runs else "No runs."


def costs_text(costs: Sequence[SweepCost]) -> str:
    """Plain columns, and a line for what has no price."""
    return "\n".join([_aligned(cost_lines(costs)), *unpriced(costs)]) if costs else "No sweeps."


def unpriced(costs: Sequence[SweepCost]) -> list[str]:
    """A line for the devices that the price table lacks; none without a price table."""
    devices = sorted({device for cost in costs for device in cost.unpriced})
    return [f"No price of {plain(', '.join(devices))}: fill in the price table."] if devices else []


def without_empty_columns(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """A header and rows, without the columns in which every row is empty."""
    kept = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    return [[line[i] for i in kept] for line in lines]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """A header and rows as plain columns, the first two to the left."""
    kept = [[plain(cell) for cell in line] for line in without_empty_columns(lines)]
    widths = [max(len(line[i]) for line in kept) for i in range(len(kept[0]))]
    left = 2 if any(line[1] for line in lines[1:]) else 1
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in kept
    )


def _amount(money: float | None, cost: SweepCost) -> str:
    return "" if money is None else f"{money:.2f} {cost.currency}"


def clock(seconds: float) -> str:
    """ "1:02:03"."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
