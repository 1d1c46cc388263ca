"""The trials of recorded sweeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.review.importance import read_space
from raytrain.review.marks.selection import selected_on
from raytrain.tracking.journal import NAME, Journal


class Sweep(NamedTuple):
    """A sweep's "trial" events by number, its space as `read_space` gives it, the cost that it minimised, and
    what its trials were selected on (`selected_on`)."""

    trials: list[dict[str, Any]]
    space: dict[str, Any]
    cost: str | None = None
    selection: str = ""


def read_sweeps(storage: str | os.PathLike[str], experiment: str | None = None) -> dict[str, Sweep]:
    """{"experiment/sweep": its trials} of the sweeps that have any, of one experiment or of all."""
    sweeps = {}
    for path in sorted(Path(storage).expanduser().resolve().glob(f"{experiment or '*'}/*/{NAME}")):
        events = Journal(path.parent).read()
        start = next((event for event in events if event["event"] == "start"), {})
        trials = {int(event["number"]): event for event in events if event["event"] == "trial"}
        if start.get("kind") == "sweep" and trials:
            name = f"{path.parent.parent.name}/{path.parent.name}"
            cost = start.get("options", {}).get("cost")
            selection = selected_on(start.get("config") or {}, start)
            ordered = [trials[number] for number in sorted(trials)]
            sweeps[name] = Sweep(ordered, read_space(path.parent), cost, selection)
    return sweeps
