"""A sweep on a local cluster, once left alone and once hurt at random moments: is every trial there, and the same?

Three raylets of one CPU each run the same sweep twice, by the command line. In the second one a training worker, a
whole node, the sweep's driver and the cluster's head are killed with SIGKILL, after as many trials as a seed drew and
some seconds. A node joins again, a driver is followed by `--resume`, a head by a new cluster on the same storage.
Settings are drawn at random by trial number and nothing is stopped early, so that each trial must end with the value
that it has undisturbed; with `--sampler tpe --early-stops` only the accounts are compared, since what such a search
draws and stops depends on which trial ended first. Exit code 1 where anything is lost, doubled, open or different.

    python -m benchmarks.chaos --trials 40
    python -m benchmarks.chaos --trials 8 --faults head --root FOLDER   # an undisturbed sweep found there is kept
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos_audit import compare, mlflow_statuses, problems, trials_of
from raytrain.config import DataConfig, EncoderConfig, OptimConfig, RunConfig, VSEInfinityConfig, to_yaml
from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.tracking.journal import Journal
from tests.ray_cluster import ROOT, LocalCluster, start_cluster
from tests.tables import make_table

FAULTS = ("worker", "node", "driver", "head")
NODES = 3
EXPERIMENT = "chaos"


@dataclass(frozen=True)
class Moment:
    """When a fault strikes: so long after so many trials were recorded."""

    fault: str
    after_trials: int
    delay_s: float


def plan(faults: Sequence[str], trials: int, seed: int) -> list[Moment]:
    """Faults in random order, each at a random moment of a stretch of the sweep of its own."""
    generator = random.Random(seed)
    stretch = max(0, trials - 2 * NODES) / max(1, len(faults))  # the last ones must find a sweep that still trains
    return [
        Moment(fault, int((at + generator.uniform(0.1, 0.9)) * stretch), generator.uniform(0.0, 10.0))
        for at, fault in enumerate(generator.sample(list(faults), len(faults)))
    ]


@dataclass
class Sweep:
    """A sweep by the command line, and what is done to it.

    Args:
        cluster: where it runs; another one after its head was killed.
        root: holds the table, the recipe and the runs.
        name: of the sweep.
        told: a line for each fault that fired, with what shows it.
        wrong: what did not happen as it should.
    """

    cluster: LocalCluster
    root: Path
    name: str
    generator: random.Random
    clusters: list[LocalCluster] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lives: int = 0

    def __post_init__(self) -> None:
        self.folder = self.root / "runs" / EXPERIMENT / self.name
        self.journal = Journal(self.folder)
        self.clusters.append(self.cluster)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root}/mlflow.db"

    def start(self, *arguments: str) -> None:
        self.lives += 1
        command = [
            sys.executable,
            "-m",
            "raytrain.cli",
            "sweep",
            "vse_infinity",
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
        return self.root / f"{self.name}-{self.lives}.log"

    def finish(self, timeout_s: float = 3600.0) -> None:
        """Until the sweep has ended."""
        if code := self.driver.wait(timeout_s):
            raise RuntimeError(f"{self.name} ended with {code}:\n{self.log.read_text()[-3000:]}")

    def wait_for(self, what: Callable[[], Any], why: str, timeout_s: float = 900.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := what()):
            if self.driver.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{why}: it never came\n{self.log.read_text()[-3000:]}")
            time.sleep(0.3)
        return found

    def strike(self, moment: Moment) -> None:
        self.wait_for(
            lambda: len(trials_of(self.folder)) >= moment.after_trials and self.cluster.training(), str(moment)
        )
        time.sleep(moment.delay_s)
        since = time.time()
        told = getattr(self, f"_{moment.fault}")(since)
        self.told.append(f"{moment.fault} after {len(trials_of(self.folder))} trials: {told}")
        print(f"  {self.told[-1]}", flush=True)

    def resumed(self, run: Path, since: float) -> bool:
        return any(event["event"] == "resume" and event["time"] > since for event in Journal(run).read())

    def slots(self, since: float) -> list[int]:
        return [event["slots"] for event in self.journal.read() if event["event"] == "room" and event["time"] > since]

    def _worker(self, since: float) -> str:
        pid, run = self.generator.choice(sorted(self.wait_for(self.cluster.training, "a worker that trains").items()))
        os.kill(pid, signal.SIGKILL)
        self.wait_for(lambda: self.resumed(run, since), f"{run.name} to go on")
        return f"process {pid} killed, {run.name} resumed after {time.time() - since:.0f} s"

    def _node(self, since: float) -> str:
        alive = [index for index, node in enumerate(self.cluster.nodes) if index and node.poll() is None]
        # one that trains, where there is one: a node that has nothing to lose would show nothing
        busy = [index for index in alive if self.cluster.training(self.cluster.processes(index))]
        chosen = self.generator.choice(busy or alive)
        hurt = set(self.cluster.training(self.cluster.processes(chosen)).values())
        ended = self.cluster.kill_node(chosen)
        slots = self.wait_for(lambda: self.slots(since), "the sweep to notice that a node is gone")
        noticed = time.time() - since
        self.cluster.add_node()
        self.cluster.wait()
        self.wait_for(lambda: self.slots(since)[-1] > slots[0], "the sweep to notice a new node")
        for run in hurt:
            self.wait_for(lambda run=run: self.resumed(run, since), f"{run.name} to go on")
        return (
            f"{len(ended)} processes killed, slots {slots[0]} after {noticed:.0f} s and "
            f"{self.slots(since)[-1]} after {time.time() - since:.0f} s, resumed {', '.join(r.name for r in hurt)}"
        )

    def _driver(self, since: float) -> str:
        self.driver.kill()
        code = self.driver.wait(30)
        if code != -signal.SIGKILL:
            self.wrong.append(f"the driver ended with {code}, not by SIGKILL")
        return self._goes_on(since, f"ended with {code}")

    def _head(self, since: float) -> str:
        ended = self.cluster.kill_node(0)
        code = self.driver.wait(150)
        took = time.time() - since
        if code != 75 or f"--resume {self.name}" not in self.log.read_text():
            self.wrong.append(f"without its head the driver ended with {code}:\n{self.log.read_text()[-2000:]}")
        left = [index for index, node in enumerate(self.cluster.nodes) if node.poll() is None]
        before = self.cluster.address
        self.cluster = start_cluster(NODES)
        self.clusters.append(self.cluster)
        told = f"{len(ended)} processes killed, driver ended with {code} after {took:.0f} s, {len(left)} nodes left"
        return self._goes_on(since, f"{told}, {before} followed by {self.cluster.address}")

    def _goes_on(self, since: float, told: str) -> str:
        running = [path for path in self.folder.parent.glob(f"{self.name}-t*") if Journal(path).last("end") is None]
        self.resume()
        self.wait_for(lambda: self.resumed(self.folder, since), "the sweep's resumption")
        return f"{told}, resumed after {time.time() - since:.0f} s with {len(running)} runs open"


def recipe(root: Path, epochs: int) -> RunConfig:
    """Trial 0: VSE-infinity on a made-up table, whose epoch takes about a second of one CPU."""
    if not (root / "table").exists():
        make_table(root / "table", items=400, regions=12, features=64, token_features=48, noise=8.0)
    return RunConfig(
        experiment=EXPERIMENT,
        storage=str(root / "runs"),
        data=DataConfig(table=str(root / "table"), min_word_count=1),
        encoder=EncoderConfig(dim=64, gpo_dim=8),
        method=VSEInfinityConfig(),
        optim=OptimConfig(lr=1e-3, batch_size=64, num_epochs=epochs, decay_epochs=()),
    )


def run(given: argparse.Namespace, root: Path) -> int:
    config = recipe(root, given.epochs)
    (root / "recipe.yaml").write_text(to_yaml(config))
    begin = ["--recipe", str(root / "recipe.yaml"), "--trials", str(given.trials), "--sampler", given.sampler,
             "--search-seed", str(given.seed), "--rerank-trials", "10", "--gpu", "no"]  # fmt: skip
    if not given.early_stops:
        begin += ["--grace-epochs", str(given.epochs)]
    clusters: list[LocalCluster] = []
    try:
        clusters = [start_cluster(NODES)]
        calm = Sweep(clusters[0], root, "undisturbed", random.Random(0))
        if len(trials_of(calm.folder)) < given.trials:
            calm.start("--name", calm.name, *begin)
            calm.finish()
        hurt = Sweep(clusters[0], root, "disturbed", random.Random(given.seed))
        hurt.start("--name", hurt.name, *begin)
        clusters = hurt.clusters
        try:
            for moment in plan(given.faults.split(","), given.trials, given.seed):
                hurt.strike(moment)
            hurt.finish()
        finally:
            hurt.driver.kill()
    finally:
        for cluster in clusters:
            cluster.stop()
    wrong = hurt.wrong + [f"process {pid} is still there" for each in clusters for pid in each.everything()]
    return report(calm, hurt, wrong, given)


def report(calm: Sweep, hurt: Sweep, wrong: list[str], given: argparse.Namespace) -> int:
    """Print what happened, and what of it should not have."""
    costs = {cost.sweep: cost for cost in sweep_costs(read_journals(hurt.root / "runs", EXPERIMENT))}
    print(f"{given.trials} trials of {given.epochs} epochs, {NODES} nodes of one CPU, {os.cpu_count()} cores")
    best = {}
    for sweep in (calm, hurt):
        statuses = mlflow_statuses(sweep.uri, EXPERIMENT)
        wrong += [f"{sweep.name}: {what}" for what in problems(sweep.folder, given.trials, given.epochs, statuses)]
        end, cost = Journal(sweep.folder).last("end") or {}, costs[sweep.name]
        best[sweep.name] = end["best"]["run"].removeprefix(sweep.name), end["best"]["value"]
        print(
            f"{sweep.name}: {end['trials']}, best {best[sweep.name][0]} {best[sweep.name][1]:.4f}; "
            f"wall {cost.wall_seconds:.0f} s, trained {cost.worker_seconds:.0f} s, busy {cost.busy:.0%}, "
            f"lost {cost.lost_seconds:.0f} s ({cost.lost:.1%}), {cost.restarts} restarts of runs, "
            f"{cost.driver_restarts} of the driver"
        )
    found = compare(calm.folder, hurt.folder)
    print(
        f"compared: {found.same_settings} of {given.trials} trials drew the same, {found.together} ran all epochs in "
        f"both, {found.equal} of them with the same value to the last bit, at most {found.furthest:g} apart; "
        f"best {'equal' if best[calm.name] == best[hurt.name] else 'different'}"
    )
    if given.sampler == "random" and not given.early_stops and found.equal < given.trials:
        wrong.append("the same settings did not end with the same values")
    print("\n".join(wrong) if wrong else "nothing lost, nothing doubled, nothing left running")
    return int(bool(wrong))


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--trials", type=int, default=40)
    arguments.add_argument("--epochs", type=int, default=40)
    arguments.add_argument("--faults", default=",".join(FAULTS), help="a fault may come more than once")
    arguments.add_argument("--sampler", default="random", choices=["random", "tpe"])
    arguments.add_argument("--early-stops", action="store_true", help="ASHA")
    arguments.add_argument("--seed", type=int, default=0, help="of the search and of the moments")
    arguments.add_argument("--root", type=Path, help="folder to keep; default one that is removed")
    given = arguments.parse_args()
    if unknown := set(given.faults.split(",")) - set(FAULTS):
        arguments.error(f"no fault {', '.join(sorted(unknown))}; faults: {', '.join(FAULTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the clusters are ended
    if given.root:
        given.root.mkdir(parents=True, exist_ok=True)
        return run(given, given.root.resolve())
    with tempfile.TemporaryDirectory() as folder:
        return run(given, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
