"""The trials of recorded sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.errors import Problem
from raytrain.review.accounting import Events
from raytrain.review.importance import FIX, outside, read_space
from raytrain.review.marks.selection import selected_on
from raytrain.tracking.run_record import first_start
from raytrain.tracking.sweep_record import NAME


class Sweep(NamedTuple):
    """A sweep's "trial" events by number, its space as `read_space` gives it, the cost that it minimised, and
    what its trials were selected on (`selected_on`)."""

    trials: list[Mapping[str, Any]]
    space: dict[str, Any]
    cost: str | None = None
    selection: str = ""


def sweeps_of(journals: Mapping[Path, Events], skipped: list[Problem] | None = None) -> dict[str, Sweep]:
    """{"experiment/sweep": its trials} of the sweeps among the journals that have any.

    Args:
        journals: as `read_journals` gives them.
        skipped: where a problem is added for each file and trial that is left out; None discards them.
    """
    skipped = [] if skipped is None else skipped
    sweeps = {}
    for folder, events in journals.items():
        start = first_start(events)
        by_number = {int(event["number"]): event for event in events if event["event"] == "trial"}
        if start.get("kind") == "sweep" and by_number:
            trials = [by_number[number] for number in sorted(by_number)]
            space = read_space(folder, skipped)
            skipped += [
                Problem(
                    str(folder / NAME),
                    None,
                    f"trial {number} of the journal has params outside this space",
                    FIX,
                    level="warning",
                )
                for number in outside(trials, space)
            ]
            cost = (start.get("options") or {}).get("cost")
            selection = selected_on(start.get("config") or {}, start)
            sweeps[f"{folder.parent.name}/{folder.name}"] = Sweep(trials, space, cost, selection)
    return sweeps
