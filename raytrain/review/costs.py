"""What sweeps and runs took: as text for a terminal, as HTML for the leaderboard's page, and in a journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from raytrain.errors import UsageError
from raytrain.review.accounting import Events, SweepCost, read_journals, sweep_costs, usages
from raytrain.review.prices import Prices
from raytrain.tracking.journal import Journal

HEADS = ("sweep", "trials", "wall", "slots", "worker h", "GPU h", "busy", "lost", "waited", "restarts", "money", "held")
READING = (
    "Busy, lost and waited are shares of the slots over the time that the sweep's driver was there: busy trained what "
    "was kept, lost was trained again or held through a failure, the rest waited for start-ups and for the last "
    "trials. Money is of the workers' work and losses, held of every slot over that time."
)


def record_sweep_cost(folder: Path, prices: Prices | None = None, tracking_uri: str | None = None) -> SweepCost:
    """Write a finished sweep's cost into its journal, and to MLflow where there is one; the cost.

    Raises:
        UsageError: the folder is no sweep's.
    """
    journals = read_journals(folder.parent.parent, folder.parent.name)
    found = [cost for cost in sweep_costs(journals, prices) if Path(cost.folder) == folder.resolve()]
    if not found:
        raise UsageError(f"{folder} is no sweep")
    cost = found[0]
    Journal(folder).write("cost", metrics=cost.metrics(), currency=cost.currency, prices_date=cost.prices_date)
    if tracking_uri:
        from raytrain.tracking.mirror import Mirror

        with Mirror(tracking_uri) as mirror:
            mirror.due(folder)
    return cost


def run_costs(journals: Mapping[Path, Events], prices: Prices | None = None) -> list[dict[str, Any]]:
    """What each run took, by folder: {"run", "experiment", "sweep" (None for a run of none), ..., "money"}."""
    first = {folder: next((e for e in events if e["event"] == "start"), {}) for folder, events in journals.items()}
    sweeps = {start.get("uid"): folder.name for folder, start in first.items() if start.get("kind") == "sweep"}
    return [
        {
            "run": folder.name,
            "experiment": folder.parent.name,
            "sweep": sweeps.get(first[folder].get("parent")),
            **{unit: getattr(used, unit) for unit in ("worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds")},
            "restarts": used.restarts,
            "device": used.device,
            "money": used.money(prices),
        }
        for folder, used in sorted(usages(journals).items())
    ]


def runs_text(runs: Sequence[Mapping[str, Any]], prices: Prices | None = None) -> str:
    """Plain columns of `run_costs`."""
    if not runs:
        return "No runs."
    heads = ("run", "sweep", "worker s", "GPU s", "CPU s", "lost s", "restarts", "money")
    units = ("worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds", "restarts")
    lines = [heads]
    for one in runs:
        money = "" if one["money"] is None or prices is None else f"{one['money']:.2f} {prices.currency}"
        lines.append((one["run"], one["sweep"] or "", *(f"{one[unit]:.0f}" for unit in units), money))
    return columns(lines)


def columns(lines: Sequence[tuple[str, ...]]) -> str:
    """A head and rows, aligned; a column that says nothing is left out."""
    kept = [i for i in range(len(lines[0])) if any(line[i] for line in lines[1:])]
    widths = {i: max(len(line[i]) for line in lines) for i in kept}
    return "\n".join(
        "  ".join(line[i].ljust(widths[i]) if i < 2 else line[i].rjust(widths[i]) for i in kept).rstrip()
        for line in lines
    )


def cells(cost: SweepCost) -> tuple[str, ...]:
    """A sweep under HEADS."""
    trials = ", ".join(f"{one['trials']:g} {state}" for state, one in sorted(cost.trials.items()))
    waited = max(0.0, 1.0 - cost.busy - cost.lost)
    again = cost.restarts + cost.driver_restarts
    return (
        cost.sweep, trials, clock(cost.wall_seconds), str(cost.slots), f"{cost.worker_seconds / 3600:.2f}",
        f"{cost.gpu_seconds / 3600:.2f}", f"{cost.busy:.0%}", f"{cost.lost:.1%}", f"{waited:.0%}", str(again),
        amount(cost.money, cost), amount(cost.held_money, cost),
    )  # fmt: skip


def costs_text(costs: Sequence[SweepCost]) -> str:
    """Plain columns, and what has no price."""
    if not costs:
        return "No sweeps."
    return "\n".join([columns([HEADS, *(cells(cost) for cost in costs)]), *unpriced(costs)])


def unpriced(costs: Sequence[SweepCost]) -> list[str]:
    """A line for the devices that the price table does not know; none without a table."""
    names = sorted({name for cost in costs for name in cost.unpriced})
    return [f"No price of {', '.join(names)}: fill in the price table."] if names else []


def costs_html(costs: Sequence[SweepCost]) -> str:
    """A section of the page; "" without sweeps."""
    if not costs:
        return ""
    head = "".join(f"<th{' class=left' if i < 2 else ''}>{escape(name)}</th>" for i, name in enumerate(HEADS))
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=left' if i < 2 else ''}>{escape(one)}</td>" for i, one in enumerate(cells(cost)))
        + "</tr>"
        for cost in costs
    )
    notes = "".join(f"<p>{escape(line)}</p>" for line in [READING, *unpriced(costs)])
    table = f'<div class="card"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"<h2>What the sweeps took</h2>{table}{notes}"


def amount(money: float | None, cost: SweepCost) -> str:
    return "" if money is None else f"{money:.2f} {cost.currency}"


def clock(seconds: float) -> str:
    """ "1:02:03"."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
