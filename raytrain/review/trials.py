"""The trials of recorded sweeps."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from raytrain.errors import Problem
from raytrain.review.importance import FIX, outside, read_space
from raytrain.review.marks.selection import selected_on
from raytrain.tracking.journal import Journal, run_folders
from raytrain.tracking.run_record import first_start
from raytrain.tracking.sweep_record import NAME


class Sweep(NamedTuple):
    """A sweep's "trial" events by number, its space as `read_space` gives it, the cost that it minimised, and
    what its trials were selected on (`selected_on`)."""

    trials: list[dict[str, Any]]
    space: dict[str, Any]
    cost: str | None = None
    selection: str = ""


def read_sweeps(
    storage: str | os.PathLike[str], experiment: str | None = None, skipped: list[Problem] | None = None
) -> dict[str, Sweep]:
    """{"experiment/sweep": its trials} of the sweeps that have any, of one experiment or of all.

    Args:
        skipped: where a problem is added for each line, file and trial that is left out; None discards them.
    """
    skipped = [] if skipped is None else skipped
    sweeps = {}
    for folder in run_folders(storage, experiment, skipped):
        events = Journal(folder).read(skipped)
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
