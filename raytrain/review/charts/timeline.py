"""The time of a sweep's slots: which trial trained when, what was restarted or killed, and what stood idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from raytrain.review.accounting import BEGINNINGS, LIFE, Events, attended
from raytrain.review.charts.drawings import Label
from raytrain.review.costs import clock
from raytrain.review.rendering import render
from raytrain.tracking.run_record import first_start

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1080, 52, 14, 8, 44
MOST_LANE, LEAST_LANE, MOST_HEIGHT = 22, 4, 420
"""Heights of a lane and of all lanes, in units of the drawing."""
STATES = ("finished", "pruned", "failed", "killed", "interrupted", "open")
"""How a life ended, which colours its bar; "killed" also where the journal has no end, and the run went on later."""


class Life(NamedTuple):
    """A run from one start to its end: seconds since 1970, how it ended (one of STATES), and which start it was."""

    run: str
    first: float
    last: float
    state: str
    restart: int


def lives_of(run: str, events: Events) -> list[Life]:
    """The lives of a run, by its journal; the last line stands for an end that nobody wrote."""
    lives: list[Life] = []
    first = last = None
    for event in (event for event in events if event["event"] in LIFE):
        now = float(event["time"])
        if event["event"] in BEGINNINGS:
            if first is not None:
                lives.append(Life(run, first, last or first, "killed", len(lives)))
            first = now
        elif event["event"] == "end" and first is not None:
            killed = event.get("status") == "killed"  # written when it was noticed, not when it happened
            lives.append(Life(run, first, (last or first) if killed else now, str(event.get("status")), len(lives)))
            first = None
        last = now
    if first is not None:
        lives.append(Life(run, first, last or first, "open", len(lives)))
    return lives


def in_lanes(lives: Sequence[Life]) -> list[tuple[int, Life]]:
    """(lane, life): each in the first lane that is free when it begins; by begin."""
    free_from: list[float] = []
    placed = []
    for life in sorted(lives, key=lambda life: (life.first, life.run)):
        lane = next((lane for lane, time in enumerate(free_from) if time <= life.first + 0.5), len(free_from))
        if lane == len(free_from):
            free_from.append(life.last)
        free_from[lane] = max(free_from[lane], life.last)
        placed.append((lane, life))
    return placed


def timeline(sweep: Events | None, runs: Mapping[Path, Events], slots: int | None = None) -> Markup:
    """Bars of runs in the lanes of a sweep's slots; "" without a run that has started.

    Args:
        sweep: events of its journal; None of runs by themselves, whose idle slots are not known.
        runs: {folder: events} of the runs.
        slots: workers that fit at once, where the sweep's journal does not say; None where that is not known either.
    """
    lives = [life for folder, events in runs.items() for life in lives_of(folder.name, events)]
    if not lives:
        return Markup("")
    spans = attended(sweep, list(runs.values())) if sweep else []
    start = min([life.first for life in lives] + [first for first, _ in spans])
    end = max([life.last for life in lives] + [last for _, last in spans])
    seconds = max(end - start, 1.0)
    placed = in_lanes(lives)
    room = _room(sweep or (), slots)
    lanes = max([lane + 1 for lane, _ in placed] + [count for _, count in room])
    height = max(LEAST_LANE, min(MOST_LANE, MOST_HEIGHT / lanes))

    def across(time: float) -> float:
        return LEFT + (time - start) / seconds * (WIDTH - LEFT - RIGHT)

    bars, marks = [], []
    for lane, life in placed:
        y = TOP + lane * height
        x, width = across(life.first), max(1.0, across(life.last) - across(life.first))
        state = life.state if life.state in STATES else "open"
        tooltip = f"{life.run}: {clock(life.first - start)} to {clock(life.last - start)}, {_in_words(life)}"
        bars.append({"x": x, "y": y + 1, "width": width, "height": height - 2, "state": state, "tooltip": tooltip})
        if life.restart:
            marks.append({"x": x, "y": y + height / 2, "kind": "resumed", "tooltip": f"{life.run} was started again"})
        if state in ("killed", "failed"):
            marks.append({"x": x + width, "y": y + height / 2, "kind": "failed", "tooltip": f"{life.run}: {state}"})
    counts = {state: sum(life.state == state for life in lives) for state in STATES}
    bottom = TOP + lanes * height
    kinds = [
        (state, f"{count} {'still open' if state == 'open' else state}") for state, count in counts.items() if count
    ]
    legend = [{"state": state, "text": text, "x": LEFT + 150 * place} for place, (state, text) in enumerate(kinds)]
    restarts = sum(life.restart > 0 for life in lives)
    return render(
        "timeline.svg.j2",
        width=WIDTH,
        height=bottom + BOTTOM,
        idle=_idle(spans, room, across, height),
        bars=bars,
        marks=marks,
        ticks=[Label(across(start + seconds * part / 6), bottom + 15, clock(seconds * part / 6),
                     "middle" if part < 6 else "end") for part in range(7)],
        lanes=[Label(LEFT - 6, TOP + lane * height + height / 2 + 4, str(lane + 1), "end")
               for lane in range(0, lanes, max(1, round(14 / height)))],
        legend=legend,
        legend_y=bottom + 34,
        description=f"{len(runs)} runs in {lanes} slots over {clock(seconds)}: "
        f"{', '.join(text for _, text in kinds)}; {restarts} restarts",
    )  # fmt: skip


def _in_words(life: Life) -> str:
    again = f"restart {life.restart}, " if life.restart else ""
    return again + ("no end yet" if life.state == "open" else life.state)


def _room(sweep: Events, slots: int | None) -> list[tuple[float, int]]:
    """(time, trials that fit at once from then on), as far as it is known."""
    workers = int(first_start(sweep).get("workers") or 1)
    room = [
        (float(event["time"]), max(1, int(event["slots"]) // workers))
        for event in sweep
        if event["event"] in (*BEGINNINGS, "room") and event.get("slots")
    ]
    return room or ([(float("-inf"), max(1, slots // workers))] if slots else [])


def _idle(
    spans: Sequence[tuple[float, float]], room: Sequence[tuple[float, int]], across: Any, height: float
) -> list[dict[str, float]]:
    """Rectangles of all slots while the driver was running: what no bar covers stood idle."""
    until = [time for time, _ in room[1:]] + [float("inf")] * bool(room)
    result = []
    for (time, count), after in zip(room, until, strict=True):
        for first, last in spans:
            a, b = max(time, first), min(after, last)
            if b > a:
                result.append({"x": across(a), "y": TOP, "width": across(b) - across(a), "height": count * height})
    return result
