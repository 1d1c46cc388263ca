"""Run a sweep on a local cluster twice, undisturbed and with processes killed: is every trial there, and the same?

Three raylets of one CPU each run the same sweep twice, by the command line. In the second sweep a training worker, a
whole node, the sweep's driver and the cluster's head are killed with SIGKILL, at moments drawn by a seed. After that a
node joins again, a driver is followed by `--resume`, a head by a new cluster on the same storage. Settings are drawn at
random by trial number and nothing is stopped early, so that each trial must end with the value of the undisturbed
sweep. With `--sampler tpe --early-stops` values are not compared: what such a search draws and stops depends on the
order in which trials end. Exit code 1 where a trial is lost, doubled, left open or different.

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
    """When a fault strikes: `delay_s` after `after_trials` trials were recorded."""

    fault: str
    after_trials: int
    delay_s: float


def plan(faults: Sequence[str], trials: int, seed: int) -> list[Moment]:
    """Faults in random order; the sweep is cut into one stretch per fault, and each strikes at random in its own."""
    generator = random.Random(seed)
    stretch = max(0, trials - 2 * NODES) / max(1, len(faults))  # the last fault must find a sweep that still trains
    return [
        Moment(fault, int((at + generator.uniform(0.1, 0.9)) * stretch), generator.uniform(0.0, 10.0))
        for at, fault in enumerate(generator.sample(list(faults), len(faults)))
    ]


@dataclass
class Sweep:
    """A sweep started by the command line, and the faults that strike it.

    Args:
        cluster: where it runs; a new one after its head was killed.
        root: holds the table, the recipe and the runs.
        name: of the sweep.
        clusters: all clusters that it has run on.
        faults: a line for each fault that struck, and what followed.
        wrong: what should have happened and did not.
        starts: how often its driver was started.
    """

    cluster: LocalCluster
    root: Path
    name: str
    generator: random.Random
    clusters: list[LocalCluster] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
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
        command = [sys.executable, "-m", "raytrain.cli", "sweep", "vse_infinity", *arguments, "--tracking", self.uri]
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

    def wait_for(self, condition: Callable[[], Any], name: str, timeout_s: float = 900.0) -> Any:
        """The first value of `condition` that is not empty.

        Raises:
            RuntimeError: the driver has ended, or it took too long.
        """
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if self.driver.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name}: it never came\n{self.log.read_text()[-3000:]}")
            time.sleep(0.3)
        return value

    def strike(self, moment: Moment) -> None:
        self.wait_for(
            lambda: len(trials_of(self.folder)) >= moment.after_trials and self.cluster.training(), str(moment)
        )
        time.sleep(moment.delay_s)
        since = time.time()
        outcome = getattr(self, f"_{moment.fault}")(since)
        self.faults.append(f"{moment.fault} after {len(trials_of(self.folder))} trials: {outcome}")
        print(f"  {self.faults[-1]}", flush=True)

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
        # a node that trains, where there is one: killing an idle one shows nothing
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
        return self._resume_and_wait(since, f"ended with {code}")

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
        outcome = f"{len(ended)} processes killed, driver ended with {code} after {took:.0f} s, {len(left)} nodes left"
        return self._resume_and_wait(since, f"{outcome}, {before} followed by {self.cluster.address}")

    def _resume_and_wait(self, since: float, outcome: str) -> str:
        running = [path for path in self.folder.parent.glob(f"{self.name}-t*") if Journal(path).last("end") is None]
        self.resume()
        self.wait_for(lambda: self.resumed(self.folder, since), "the sweep's resumption")
        return f"{outcome}, resumed after {time.time() - since:.0f} s with {len(running)} runs open"


def recipe(root: Path, epochs: int) -> RunConfig:
    """The recipe of trial 0: VSE-infinity on a made-up table, with epochs of about a second on one CPU."""
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
    wrong = hurt.wrong + [f"process {pid} is still there" for cluster in clusters for pid in cluster.everything()]
    return report(calm, hurt, wrong, given)


def report(calm: Sweep, hurt: Sweep, wrong: list[str], given: argparse.Namespace) -> int:
    """Print both sweeps, their comparison and what went wrong; the exit code."""
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
    result = compare(calm.folder, hurt.folder)
    print(
        f"compared: {result.same_settings} of {given.trials} trials drew the same, {result.together} ran all epochs in "
        f"both, {result.equal} of them with the same value to the last bit, at most {result.furthest:g} apart; "
        f"best {'equal' if best[calm.name] == best[hurt.name] else 'different'}"
    )
    if given.sampler == "random" and not given.early_stops and result.equal < given.trials:
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
