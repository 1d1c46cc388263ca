"""What runs and sweeps took and what was lost, from their journals alone, so that it is known of old runs too.

A run has lives: from "start" or "resume" to the "end", or to where it was killed. Its `cost/worker_seconds` grows with
each epoch and goes back to the checkpoint at a resumption, so the last epoch's is what the result rests on. Lost is
what its workers were held for besides: epochs that were trained again, the time between the last epoch that was kept
and an end that was no success, and the wait for a restart. A driver that is away holds no workers: of a sweep whose
driver was killed, time counts up to the last line that any of its journals got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from raytrain.review.prices import Prices
from raytrain.tracking.journal import Journal, run_folders
from raytrain.tracking.run_record import first_start

Events = Sequence[Mapping[str, Any]]
Span = tuple[float, float]  # seconds since 1970, from and to
BEGUN = ("start", "resume")
LIFE = (*BEGUN, "epoch", "end")
"""Events that a training run's own life is made of; evaluations and re-ranking may come days later."""


@dataclass(frozen=True)
class Usage:
    """What one run took.

    Args:
        worker_seconds: of the work that its result rests on, over all workers.
        lost_seconds: that its workers were held for besides, over all workers.
        restarts: how often it was started again.
        device: as the journal names it; None before the start.
        gpus: that each worker held; a part where trials share one.
        cpus: that each worker held.
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
        """The price of an hour of one of its workers; None where it is not known."""
        if prices is None:
            return None
        if self.gpus:
            hour = prices.of_gpu(self.device or "")
            return None if hour is None else hour * self.gpus
        return None if prices.cpu_hour is None else prices.cpu_hour * self.cpus

    def money(self, prices: Prices | None) -> float | None:
        """Of what was kept and of what was lost; None where the price is not known."""
        hour = self.worker_hour(prices)
        return None if hour is None else hour * (self.worker_seconds + self.lost_seconds) / 3600


@dataclass(frozen=True)
class SweepCost:
    """What a sweep took.

    Args:
        wall_seconds: that its driver was there, over all its lives.
        slots: workers that the cluster had room for, the last time that it was looked.
        trials: {state: {"trials": how many, "worker_seconds": of theirs}}, "repeat" for runs over further seeds.
        worker_seconds, gpu_seconds, cpu_seconds, lost_seconds, restarts: sums over its runs.
        driver_restarts: how often the sweep was resumed.
        busy: share of wall x slots that trained what was kept.
        lost: share of it that was lost. What is neither waited: for start-ups, for the last trials, for work.
        money: of what the workers did; None where a price is not known.
        held_money: of all slots over the whole time, idle or not; None too where its runs have several prices.
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
        told = {
            "cost/wall_seconds": self.wall_seconds,
            "cost/lost_seconds": self.lost_seconds,
            "cost/busy": self.busy,
            "cost/money": self.money,
            "cost/held_money": self.held_money,
        }
        return {name: value for name, value in told.items() if value is not None}


def read_journals(root: Path, experiment: str | None = None) -> dict[Path, list[dict[str, Any]]]:
    """{folder: events} of every run and sweep under `<root>/<experiment>/`."""
    return {folder: Journal(folder).read() for folder in run_folders(root, experiment)}


def usages(journals: Mapping[Path, Events]) -> dict[Path, Usage]:
    """The usage of each run, without the sweeps; resources of a trial's worker come from its sweep's journal."""
    by_uid: dict[str, Path] = {}
    children: dict[str, list[Path]] = {}
    for folder, events in journals.items():
        start = first_start(events)
        if start.get("kind") == "sweep":
            by_uid[str(start.get("uid"))] = folder
        elif start:
            children.setdefault(str(start.get("parent")), []).append(folder)
    found: dict[Path, Usage] = {}
    for parent, folders in children.items():
        worker: Mapping[str, float] = {}
        there = None
        if parent in by_uid:
            worker = (first_start(journals[by_uid[parent]]).get("options") or {}).get("resources_per_worker") or {}
            there = attended(journals[by_uid[parent]], [journals[folder] for folder in folders])
        found |= {folder: usage(journals[folder], worker, there) for folder in folders}
    return found


def usage(events: Events, worker: Mapping[str, float] | None = None, there: Sequence[Span] | None = None) -> Usage:
    """What one run took.

    Args:
        events: of its journal.
        worker: {"CPU": ..., "GPU": ...} that each of its workers held; one of each where it is not told.
        there: when the driver of its sweep was there; None for a run of no sweep, where a life without an end counts
            as held until the next one.
    """
    start = first_start(events)
    if not start:
        return Usage()
    workers = int(start.get("workers") or 1)
    spent: dict[int, float] = {0: 0.0}  # the counter after each epoch that is kept
    lost, restarts = 0.0, 0
    untold = 0.0  # worker-seconds that were held since the last line of an epoch, in lives that are over
    seen, over = float(start["time"]), False  # the last sign of this life, and whether it said that it ended
    resumed = seen  # when this life began
    for event in events:
        kind, now = event["event"], float(event["time"])
        if kind == "epoch":
            counter = float((event.get("metrics") or {}).get("cost/worker_seconds") or 0.0)
            # a checkpoint within an epoch keeps a part of what had no line yet: the counter knows it
            kept = counter - spent[max(spent)] - (now - resumed) * workers
            lost += untold - min(untold, max(0.0, kept))
            spent[int(event["epoch"])], seen, untold = counter, now, 0.0
        elif kind == "end" and not over:
            if event.get("status") == "killed":
                over = there is None  # written when it was found, not when it happened
            else:
                over = True
                untold += 0.0 if event.get("status") == "finished" else (now - seen) * workers
        elif kind == "resume":
            restarts += 1
            untold += 0.0 if over else overlap((seen, now), there) * workers
            kept_epoch = max(epoch for epoch in spent if epoch <= int(event.get("epoch") or 0))
            lost += spent[max(spent)] - spent[kept_epoch]
            spent = {epoch: counter for epoch, counter in spent.items() if epoch <= kept_epoch}
            resumed, seen, over = now, now, False
    device = start.get("device")
    on_gpu = device is not None and not str(device).endswith("CPU")
    gpus, cpus = (float((worker or {}).get(name, 1.0)) for name in ("GPU", "CPU"))
    return Usage(spent[max(spent)], lost + untold, restarts, device, gpus if on_gpu else 0.0, cpus)


def attended(sweep: Events, runs: Sequence[Events]) -> list[Span]:
    """When the sweep's driver was there: each life up to its end, or to the last line before the next life."""
    begun = [float(event["time"]) for event in sweep if event["event"] in BEGUN]
    ends = [float(event["time"]) for event in sweep if event["event"] == "end"]
    signs = [float(e["time"]) for events in (sweep, *runs) for e in events if e["event"] in (*LIFE, "trial", "repeat")]
    spans = []
    for first, after in zip(begun, [*begun[1:], float("inf")], strict=True):
        told = [time for time in ends if first <= time < after]
        spans.append((first, told[0] if told else max(time for time in signs if first <= time < after)))
    return spans


def overlap(span: Span, there: Sequence[Span] | None) -> float:
    """Seconds of `span` that lie within `there`; None is always."""
    if there is None:
        return span[1] - span[0]
    return sum(max(0.0, min(span[1], stop) - max(span[0], first)) for first, stop in there)


def sweep_costs(journals: Mapping[Path, Events], prices: Prices | None = None) -> list[SweepCost]:
    """What each sweep among the journals took, by folder."""
    used = usages(journals)
    found = []
    for folder, events in journals.items():
        start = first_start(events)
        if start.get("kind") == "sweep":
            runs = {run: used[run] for run in used if first_start(journals[run]).get("parent") == start.get("uid")}
            found.append(_sweep_cost(folder, events, {run: journals[run] for run in runs}, runs, prices))
    return found


def _sweep_cost(
    folder: Path, events: Events, journals: Mapping[Path, Events], runs: Mapping[Path, Usage], prices: Prices | None
) -> SweepCost:
    spans = attended(events, list(journals.values()))
    inferred = _slots(events, journals)
    told = [(float(e["time"]), int(e.get("slots", inferred))) for e in events if e["event"] in (*BEGUN, "room")]
    wall = sum(stop - first for first, stop in spans)
    until = [time for time, _ in told[1:]] + [float("inf")]
    held = sum(overlap((time, after), spans) * slots for (time, slots), after in zip(told, until, strict=True))
    worker_seconds = sum(one.worker_seconds for one in runs.values())
    lost = sum(one.lost_seconds for one in runs.values())
    hours = {run: one.worker_hour(prices) for run, one in runs.items()}
    known = bool(runs) and None not in hours.values()
    single = hours[next(iter(hours))] if known and len(set(hours.values())) == 1 else None
    return SweepCost(
        sweep=folder.name,
        folder=str(folder),
        wall_seconds=wall,
        slots=told[-1][1],
        trials=_by_state(events, runs),
        worker_seconds=worker_seconds,
        gpu_seconds=sum(one.gpu_seconds for one in runs.values()),
        cpu_seconds=sum(one.cpu_seconds for one in runs.values()),
        lost_seconds=lost,
        restarts=sum(one.restarts for one in runs.values()),
        driver_restarts=sum(event["event"] == "resume" for event in events),
        busy=worker_seconds / held if held else 0.0,
        lost=lost / held if held else 0.0,
        money=sum(one.money(prices) or 0.0 for one in runs.values()) if known else None,
        held_money=single * held / 3600 if single is not None else None,
        currency=prices.currency if prices else None,
        prices_date=prices.date.isoformat() if prices else None,
        unpriced=sorted({str(runs[run].device) for run, hour in hours.items() if hour is None}) if prices else [],
    )


def _by_state(events: Events, runs: Mapping[Path, Usage]) -> dict[str, dict[str, float]]:
    states = {str(event["run"]): str(event["state"]) for event in events if event["event"] == "trial"}
    seconds = {run.name: one.worker_seconds for run, one in runs.items()}
    for name in seconds:
        states.setdefault(name, "repeat" if any(name.startswith(f"{trial}-s") for trial in states) else "open")
    found: dict[str, dict[str, float]] = {}
    for name, state in states.items():
        one = found.setdefault(state, {"trials": 0, "worker_seconds": 0.0})
        one["trials"] += 1
        one["worker_seconds"] += seconds.get(name, 0.0)
    return found


def _slots(events: Events, journals: Mapping[Path, Events]) -> int:
    """Workers at a time, for a journal that does not tell: the trials asked for, or that ever trained at once."""
    start = first_start(events)
    asked = (start.get("options") or {}).get("concurrent")
    steps = []
    for run in journals.values():
        first = None
        for event in run:
            if event["event"] in BEGUN and first is None:
                first = float(event["time"])
            elif event["event"] == "end" and first is not None:
                steps += [(first, 1), (float(event["time"]), -1)]
                first = None
        if first is not None:
            steps += [(first, 1), (float(run[-1]["time"]), -1)]
    at_once = most = 0
    for _, step in sorted(steps):  # at equal times the one that ends is counted first
        at_once += step
        most = max(most, at_once)
    return max(1, int(asked or most)) * int(start.get("workers") or 1)
