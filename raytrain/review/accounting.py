"""Used and lost worker-seconds of runs and sweeps, from their journals alone, old journals included.

A run has lives: from "start" or "resume" to the "end", or to where it was killed. Its `cost/worker_seconds` grows with
each epoch and returns to the checkpoint's value when the run is resumed, so the last epoch's value is what the result
rests on. Lost is all other time for which its workers were held: epochs that were trained again, the time between the
last kept epoch and an end without success, and the wait for a restart. A driver that is gone holds no workers: in a
sweep whose driver was killed, time counts up to the last line that was written to any of its journals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from raytrain.errors import Problem
from raytrain.review.prices import Prices
from raytrain.tracking.journal import Journal, run_folders
from raytrain.tracking.run_record import first_start

Events = Sequence[Mapping[str, Any]]
Span = tuple[float, float]  # seconds since 1970, from and to
BEGINNINGS = ("start", "resume")
LIFE = (*BEGINNINGS, "epoch", "end")
"""Events of a training run itself; evaluations and re-ranking may come days later."""


@dataclass(frozen=True)
class Usage:
    """Resources that one run used.

    Args:
        worker_seconds: of the work that its result rests on, summed over workers.
        lost_seconds: for which workers were held without a result, summed over workers.
        restarts: how often it was started again.
        device: as the journal names it; None before the start.
        gpus: per worker; a fraction where trials share a GPU.
        cpus: per worker.
    """

    worker_seconds: float = 0.0
    lost_seconds: float = 0.0
    restarts: int = 0
    device: str | None = None
    gpus: float = 0.0
    cpus: float = 1.0

    @property
    def gpu_seconds(self) -> float:
        return self.worker_seconds * self.gpus

    @property
    def cpu_seconds(self) -> float:
        return self.worker_seconds * self.cpus

    def worker_hour(self, prices: Prices | None) -> float | None:
        """Price per hour of one of its workers; None where it is not known."""
        if prices is None:
            return None
        if self.gpus:
            gpu_hour = prices.of_gpu(self.device or "")
            return None if gpu_hour is None else gpu_hour * self.gpus
        return None if prices.cpu_hour is None else prices.cpu_hour * self.cpus

    def money(self, prices: Prices | None) -> float | None:
        """Price of kept and lost seconds; None where the price per hour is not known."""
        hour = self.worker_hour(prices)
        return None if hour is None else hour * (self.worker_seconds + self.lost_seconds) / 3600


@dataclass(frozen=True)
class SweepCost:
    """Resources that a sweep used.

    Args:
        wall_seconds: for which its driver was running, over all its lives.
        slots: workers that the cluster had room for when it was last checked.
        trials: {state: {"trials": count, "worker_seconds": sum}}; state "repeat" for runs over further seeds.
        worker_seconds, gpu_seconds, cpu_seconds, lost_seconds, restarts: sums over its runs.
        driver_restarts: how often the sweep was resumed.
        busy: fraction of wall x slots that trained what was kept.
        lost: fraction of wall x slots that was lost. The rest waited: for start-ups, for the last trials, for work.
        money: price of the workers' work and losses; None where a price is not known.
        held_money: price of all slots over the whole time, idle or not; None also where its runs have several prices.
        currency, prices_date: of the price table.
        unpriced: devices without a price.
    """

    sweep: str
    folder: str
    wall_seconds: float
    slots: int
    trials: dict[str, dict[str, float]]
    worker_seconds: float
    gpu_seconds: float
    cpu_seconds: float
    lost_seconds: float
    restarts: int
    driver_restarts: int
    busy: float
    lost: float
    money: float | None = None
    held_money: float | None = None
    currency: str | None = None
    prices_date: str | None = None
    unpriced: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def metrics(self) -> dict[str, float]:
        """As metrics of the sweep, for its journal."""
        metrics = {
            "cost/wall_seconds": self.wall_seconds,
            "cost/lost_seconds": self.lost_seconds,
            "cost/busy": self.busy,
            "cost/money": self.money,
            "cost/held_money": self.held_money,
        }
        return {name: value for name, value in metrics.items() if value is not None}


def read_journals(
    root: Path, experiment: str | None = None, skipped: list[Problem] | None = None
) -> dict[Path, list[dict[str, Any]]]:
    """{folder: events} of every run and sweep under `<root>/<experiment>/`, their times made to run `forward`.

    Args:
        skipped: where a problem is added for each line and file that is left out; None discards them.

    Raises:
        UsageError: there is no such storage, or no run of such an experiment in it.
    """
    skipped = [] if skipped is None else skipped
    return {folder: forward(Journal(folder).read(skipped)) for folder in run_folders(root, experiment, skipped)}


def forward(events: Events) -> list[dict[str, Any]]:
    """Events whose times never fall: a clock that was set back stands still until it has caught up.

    Seconds in between are then counted as none, and no span is negative.
    """
    latest = -math.inf
    result = []
    for event in events:
        latest = max(latest, float(event["time"]))
        result.append({**event, "time": latest})
    return result


def usages(journals: Mapping[Path, Events]) -> dict[Path, Usage]:
    """The usage of each run, sweeps left out; the sweep's journal gives the resources of its trials' workers."""
    by_uid: dict[str, Path] = {}
    children: dict[str, list[Path]] = {}
    for folder, events in journals.items():
        start = first_start(events)
        if start.get("kind") == "sweep":
            by_uid[str(start.get("uid"))] = folder
        elif start:
            children.setdefault(str(start.get("parent")), []).append(folder)
    result: dict[Path, Usage] = {}
    for parent, folders in children.items():
        worker: Mapping[str, float] = {}
        attendance = None
        if parent in by_uid:
            worker = (first_start(journals[by_uid[parent]]).get("options") or {}).get("resources_per_worker") or {}
            attendance = attended(journals[by_uid[parent]], [journals[folder] for folder in folders])
        result |= {folder: usage(journals[folder], worker, attendance) for folder in folders}
    return result


def usage(events: Events, worker: Mapping[str, float] | None = None, attendance: Sequence[Span] | None = None) -> Usage:
    """Resources that one run used.

    Args:
        events: of its journal.
        worker: {"CPU": ..., "GPU": ...} per worker; 1 for a name that is missing.
        attendance: when the driver of its sweep was running; None for a run outside a sweep, where a life without an
            end counts as held until the next one.
    """
    start = first_start(events)
    if not start:
        return Usage()
    workers = int(start.get("workers") or 1)
    spent: dict[int, float] = {0: 0.0}  # the counter after each epoch that is kept
    lost, restarts = 0.0, 0
    pending = 0.0  # worker-seconds that were held since the last line of an epoch, in lives that are over
    last_sign, ended = float(start["time"]), False  # of this life: its last line, and whether that was an end
    life_began = last_sign
    for event in events:
        kind, now = event["event"], float(event["time"])
        if kind == "epoch":
            counter = float((event.get("metrics") or {}).get("cost/worker_seconds") or 0.0)
            # a checkpoint within an epoch keeps a part of what had no line yet: the counter knows it
            kept = counter - spent[max(spent)] - (now - life_began) * workers
            lost += pending - min(pending, max(0.0, kept))
            spent[int(event["epoch"])], last_sign, pending = counter, now, 0.0
        elif kind == "end" and not ended:
            if event.get("status") == "killed":
                ended = attendance is None  # written when it was noticed, not when it happened
            else:
                ended = True
                pending += 0.0 if event.get("status") == "finished" else (now - last_sign) * workers
        elif kind == "resume":
            restarts += 1
            pending += 0.0 if ended else overlap((last_sign, now), attendance) * workers
            kept_epoch = max(epoch for epoch in spent if epoch <= int(event.get("epoch") or 0))
            lost += spent[max(spent)] - spent[kept_epoch]
            spent = {epoch: counter for epoch, counter in spent.items() if epoch <= kept_epoch}
            life_began, last_sign, ended = now, now, False
    device = start.get("device")
    on_gpu = device is not None and not str(device).endswith("CPU")
    gpus, cpus = (float((worker or {}).get(name, 1.0)) for name in ("GPU", "CPU"))
    return Usage(spent[max(spent)], lost + pending, restarts, device, gpus if on_gpu else 0.0, cpus)


def attended(sweep: Events, runs: Sequence[Events]) -> list[Span]:
    """When the sweep's driver was running: each life up to its end, or to the last line before the next life."""
    beginnings = sorted(float(event["time"]) for event in sweep if event["event"] in BEGINNINGS)
    ends = [float(event["time"]) for event in sweep if event["event"] == "end"]
    signs = [float(e["time"]) for events in (sweep, *runs) for e in events if e["event"] in (*LIFE, "trial", "repeat")]
    spans = []
    for first, after in zip(beginnings, [*beginnings[1:], float("inf")], strict=True):
        end = next((time for time in ends if first <= time < after), None)
        last_sign = max((time for time in signs if first <= time < after), default=first)
        spans.append((first, last_sign if end is None else end))
    return spans


def overlap(span: Span, others: Sequence[Span] | None) -> float:
    """Seconds of `span` that lie within `others`, which do not overlap each other; None stands for all time."""
    if others is None:
        return span[1] - span[0]
    return sum(max(0.0, min(span[1], stop) - max(span[0], first)) for first, stop in others)


def sweep_costs(journals: Mapping[Path, Events], prices: Prices | None = None) -> list[SweepCost]:
    """The cost of each sweep among the journals, by folder."""
    used = usages(journals)
    costs = []
    for folder, events in journals.items():
        start = first_start(events)
        if start.get("kind") == "sweep":
            runs = {run: used[run] for run in used if first_start(journals[run]).get("parent") == start.get("uid")}
            costs.append(_sweep_cost(folder, events, {run: journals[run] for run in runs}, runs, prices))
    return costs


def _sweep_cost(
    folder: Path, events: Events, journals: Mapping[Path, Events], runs: Mapping[Path, Usage], prices: Prices | None
) -> SweepCost:
    spans = attended(events, list(journals.values()))
    inferred = _slots(events, journals)
    slots_at = [
        (float(e["time"]), inferred if e.get("slots") is None else int(e["slots"]))
        for e in events
        if e["event"] in (*BEGINNINGS, "room")
    ]
    wall = sum(stop - first for first, stop in spans)
    until = [time for time, _ in slots_at[1:]] + [float("inf")]
    held = sum(overlap((time, after), spans) * slots for (time, slots), after in zip(slots_at, until, strict=True))
    worker_seconds = sum(used.worker_seconds for used in runs.values())
    lost = sum(used.lost_seconds for used in runs.values())
    hours = {run: used.worker_hour(prices) for run, used in runs.items()}
    all_priced = bool(runs) and None not in hours.values()
    single = hours[next(iter(hours))] if all_priced and len(set(hours.values())) == 1 else None
    return SweepCost(
        sweep=folder.name,
        folder=str(folder),
        wall_seconds=wall,
        slots=slots_at[-1][1],
        trials=_by_state(events, runs),
        worker_seconds=worker_seconds,
        gpu_seconds=sum(used.gpu_seconds for used in runs.values()),
        cpu_seconds=sum(used.cpu_seconds for used in runs.values()),
        lost_seconds=lost,
        restarts=sum(used.restarts for used in runs.values()),
        driver_restarts=sum(event["event"] == "resume" for event in events),
        busy=worker_seconds / held if held else 0.0,
        lost=lost / held if held else 0.0,
        money=sum(used.money(prices) or 0.0 for used in runs.values()) if all_priced else None,
        held_money=single * held / 3600 if single is not None else None,
        currency=prices.currency if prices else None,
        prices_date=prices.date.isoformat() if prices else None,
        unpriced=sorted({str(runs[run].device) for run, hour in hours.items() if hour is None}) if prices else [],
    )


def _by_state(events: Events, runs: Mapping[Path, Usage]) -> dict[str, dict[str, float]]:
    """{state: {"trials": count, "worker_seconds": sum}}; a run without a state is open, or repeats a trial."""
    states = {str(event["run"]): str(event["state"]) for event in events if event["event"] == "trial"}
    seconds = {run.name: used.worker_seconds for run, used in runs.items()}
    for name in seconds:
        states.setdefault(name, "repeat" if any(name.startswith(f"{trial}-s") for trial in states) else "open")
    by_state: dict[str, dict[str, float]] = {}
    for name, state in states.items():
        of_state = by_state.setdefault(state, {"trials": 0, "worker_seconds": 0.0})
        of_state["trials"] += 1
        of_state["worker_seconds"] += seconds.get(name, 0.0)
    return by_state


def _slots(events: Events, journals: Mapping[Path, Events]) -> int:
    """Slots for a journal without them: by the concurrent trials of its options, else the most that ever trained."""
    start = first_start(events)
    concurrent = (start.get("options") or {}).get("concurrent")
    steps = []
    for run in journals.values():
        first = None
        for event in run:
            if event["event"] in BEGINNINGS and first is None:
                first = float(event["time"])
            elif event["event"] == "end" and first is not None:
                steps += [(first, 1), (float(event["time"]), -1)]
                first = None
        if first is not None:
            steps += [(first, 1), (float(run[-1]["time"]), -1)]
    at_once = most = 0
    for _, step in sorted(steps):  # at equal times an end is counted before a start
        at_once += step
        most = max(most, at_once)
    return max(1, int(concurrent or most)) * int(start.get("workers") or 1)
