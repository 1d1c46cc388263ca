"""The faults of a sweep on a local cluster: when they strike, what they kill, and what is done about it."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos_audit import trials_of
from raytrain.tracking.journal import Journal
from tests.ray_cluster import ROOT, LocalCluster, start_cluster

FAULTS = ("worker", "start", "node", "driver", "head", "rerank", "mirror")
LATE = ("rerank", "mirror")
"""Faults that strike when every trial has ended, in this order."""
EXPERIMENT = "chaos"


@dataclass(frozen=True)
class Moment:
    """When faults strike: `delay_s` after `after_trials` trials were recorded; several strike at once."""

    faults: tuple[str, ...]
    after_trials: int
    delay_s: float


def parse_faults(text: str) -> list[tuple[str, ...]]:
    """ "worker,node+driver" -> [("worker",), ("node", "driver")]

    Raises:
        ValueError: a fault that does not exist, or a late one that is to strike together with others.
    """
    strikes = [tuple(strike.split("+")) for strike in text.split(",")]
    for strike in strikes:
        if unknown := set(strike) - set(FAULTS):
            raise ValueError(f"no fault {', '.join(sorted(unknown))}; faults: {', '.join(FAULTS)}")
        if len(strike) > 1 and (set(strike) & {*LATE, "start"} or len(set(strike)) < len(strike)):
            raise ValueError(f"{'+'.join(strike)}: only different ones of worker, node, driver, head strike together")
    return strikes


def plan(strikes: Sequence[tuple[str, ...]], trials: int, seed: int, at_a_time: int = 3) -> list[Moment]:
    """Strikes in random order; the sweep is cut into one stretch per strike, and each comes at random in its own.

    Args:
        strikes: faults; those of a tuple strike at once.
        trials: number of trials of the sweep.
        seed: of order and moments.
        at_a_time: trials that run at the same time: the last strike of the early ones must find some.
    """
    generator = random.Random(seed)
    early = [strike for strike in strikes if strike[0] not in LATE]
    late = sorted((strike for strike in strikes if strike[0] in LATE), key=lambda strike: LATE.index(strike[0]))
    stretch = max(0, trials - 2 * at_a_time) / max(1, len(early))
    return [
        Moment(strike, int((at + generator.uniform(0.1, 0.9)) * stretch), generator.uniform(0.0, 10.0))
        for at, strike in enumerate(generator.sample(early, len(early)))
    ] + [Moment(strike, trials, 0.0) for strike in late]


@dataclass
class Sweep:
    """A sweep started by the command line, and the faults that strike it.

    Args:
        cluster: where it runs; a new one after its head was killed.
        root: holds the table, the recipe and the runs.
        name: of the sweep.
        generator: draws whom a fault hits.
        node_count: nodes of each cluster.
        clusters: all clusters that it has run on.
        faults: a line for each fault that struck, and what followed.
        wrong: what should have happened and did not.
        hurt: folders of runs that the last strike hit.
        starts: how often its driver was started.
    """

    cluster: LocalCluster
    root: Path
    name: str
    generator: random.Random
    node_count: int
    clusters: list[LocalCluster] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    hurt: set[Path] = field(default_factory=set)
    starts: int = 0

    def __post_init__(self) -> None:
        self.folder = self.root / "runs" / EXPERIMENT / self.name
        self.journal = Journal(self.folder)
        self.clusters.append(self.cluster)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root}/mlflow.db"

    def start(self, *arguments: str) -> None:
        self.starts += 1
        command = [
            sys.executable,
            "-m",
            "raytrain.cli",
            "sweep",
            "vse_infinity_core",
            *arguments,
            "--tracking",
            self.uri,
        ]
        with open(self.log, "w") as log:
            self.driver = subprocess.Popen(
                [*command, "--address", self.cluster.address],
                env=self.cluster.env, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def resume(self) -> None:
        self.start("--resume", str(self.folder))

    @property
    def log(self) -> Path:
        return self.root / f"{self.name}-{self.starts}.log"

    def finish(self, timeout_s: float = 3600.0) -> None:
        """Wait until the sweep has ended."""
        if code := self.driver.wait(timeout_s):
            raise RuntimeError(f"{self.name} ended with {code}:\n{self.log.read_text()[-3000:]}")

    def wait_for(self, condition: Callable[[], Any], name: str, timeout_s: float = 900.0, every_s: float = 0.3) -> Any:
        """The first value of `condition` that is not empty.

        Raises:
            RuntimeError: the driver has ended, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if self.driver.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name}: it never came\n{self.log.read_text()[-3000:]}")
            time.sleep(every_s)
        return value

    def strike(self, moment: Moment) -> None:
        """Let faults strike at once, mend what an operator would mend, and wait until what they hit has gone on."""
        late = moment.faults[0] in LATE  # these have a moment of less than a second
        self.wait_for(
            lambda: len(trials_of(self.folder)) >= moment.after_trials, str(moment), every_s=0.02 if late else 0.3
        )
        if not set(moment.faults) & {*LATE, "start"}:
            self.wait_for(self.cluster.training, f"{moment}: a run that trains")
            time.sleep(moment.delay_s)
        if "node" in moment.faults:
            self.wait_for(self._busy_nodes, f"{moment}: a node that trains")
        recorded, since = len(trials_of(self.folder)), time.time()
        # the head last: the processes of the others are gone with it
        struck = {fault: getattr(self, f"_hit_{fault}")() for fault in sorted(moment.faults, key=FAULTS.index)}
        self.wrong += [
            f"{fault} after {recorded} trials hit nothing" for fault, outcome in struck.items() if not outcome
        ]
        outcomes = [f"{fault} ({outcome or 'hit nothing'})" for fault, outcome in struck.items()]
        outcomes += self._mend([fault for fault, outcome in struck.items() if outcome], since)
        self.faults.append(f"after {recorded} trials: {', '.join(outcomes)}")
        print(f"  {self.faults[-1]}", flush=True)

    def resumed(self, run: Path, since: float) -> bool:
        return any(event["event"] == "resume" and event["time"] > since for event in Journal(run).read())

    def slots(self, since: float) -> list[int]:
        return [event["slots"] for event in self.journal.read() if event["event"] == "room" and event["time"] > since]

    def _hit_worker(self) -> str:
        """Kill a process that trains."""
        training = self.cluster.training()
        if not training:
            return ""
        pid, run = self.generator.choice(sorted(training.items()))
        os.kill(pid, signal.SIGKILL)
        self.hurt.add(run)
        return f"process {pid} of {run.name} killed"

    def _hit_start(self) -> str:
        """Kill a process that has written no epoch yet."""

        def beginning() -> dict[int, Path]:
            training = self.cluster.training().items()
            return {pid: run for pid, run in training if Journal(run).last("epoch") is None}

        pid, run = self.generator.choice(sorted(self.wait_for(beginning, "a run that starts").items()))
        os.kill(pid, signal.SIGKILL)
        self.hurt.add(run)
        return f"process {pid} of {run.name} killed before its first epoch"

    def _hit_node(self) -> str:
        """Kill a node that trains; to kill an idle one shows nothing."""
        runs = self._busy_nodes()
        if not runs:
            return ""
        chosen = self.generator.choice(sorted(runs))
        self.hurt |= runs[chosen]
        ended = self.cluster.kill_node(chosen)
        return f"{len(ended)} processes killed, training {', '.join(sorted(run.name for run in runs[chosen]))}"

    def _busy_nodes(self) -> dict[int, set[Path]]:
        """{index of a node: runs that a process of it trains}, without the head."""
        alive = [index for index, node in enumerate(self.cluster.nodes) if index and node.poll() is None]
        runs = {index: set(self.cluster.training(self.cluster.processes(index)).values()) for index in alive}
        return {index: runs_of_node for index, runs_of_node in runs.items() if runs_of_node}

    def _hit_driver(self) -> str:
        return "killed" if self._kill_driver() else ""

    def _hit_head(self) -> str:
        return f"{len(self.cluster.kill_node(0))} processes killed"

    def _hit_rerank(self) -> str:
        """Kill the driver while it searches the best run's re-ranking temperatures."""
        killed = self._kill_driver()
        return "driver killed while it searched" if killed and not self.journal.last("rerank") else ""

    def _hit_mirror(self) -> str:
        """Kill the driver when the sweep's journal has ended, while the mirror is brought up to date."""
        self.wait_for(lambda: self._life()[-1] == "end", "the sweep's end", every_s=0.02)
        return "driver killed while it closed the mirror" if self._kill_driver() else ""

    def _life(self) -> list[str]:
        """Beginnings and ends of the sweep, in their order."""
        return [event["event"] for event in self.journal.read() if event["event"] in ("start", "resume", "end")]

    def _kill_driver(self) -> bool:
        """Whether it was still there to be killed."""
        self.driver.kill()
        return self.driver.wait(30) == -signal.SIGKILL

    def _mend(self, faults: Collection[str], since: float) -> list[str]:
        """Bring back what was killed and needs somebody to bring it back; what followed, in words."""
        outcomes, driver_gone = [], bool(set(faults) & {"driver", *LATE})
        if "head" in faults:
            if not driver_gone:
                code = self.driver.wait(150)
                outcomes.append(f"driver ended with {code} after {time.time() - since:.0f} s")
                if code != 75 or f"--resume {self.name}" not in self.log.read_text():
                    self.wrong.append(f"without its head the driver ended with {code}:\n{self.log.read_text()[-2000:]}")
            self.cluster = start_cluster(self.node_count)
            self.clusters.append(self.cluster)
            driver_gone = True
        elif "node" in faults:
            if not driver_gone:
                slots = self.wait_for(lambda: self.slots(since), "the sweep to notice that a node is gone")[0]
                outcomes.append(f"{slots} slots after {time.time() - since:.0f} s")
            self.cluster.add_node()
            self.cluster.wait()
            if not driver_gone:
                self.wait_for(lambda: self.slots(since)[-1] > slots, "the sweep to notice a new node")
                outcomes.append(f"{self.slots(since)[-1]} slots after {time.time() - since:.0f} s")
        if driver_gone:
            runs = self.folder.parent.glob(f"{self.name}-t*")
            open_runs = [path for path in runs if Journal(path).last("end") is None]
            self.resume()
            self.wait_for(lambda: self.resumed(self.folder, since), "the sweep's resumption")
            outcomes.append(f"resumed after {time.time() - since:.0f} s with {len(open_runs)} runs open")
        for run in sorted(self.hurt):
            self.wait_for(functools.partial(self.resumed, run, since), f"{run.name} to go on")
        if self.hurt:
            outcomes.append(f"{len(self.hurt)} hit runs went on after {time.time() - since:.0f} s")
        self.hurt.clear()
        return outcomes
