"""Run a sweep on a local cluster twice, undisturbed and with processes killed: is every trial there, and the same?

Raylets of one CPU each run the same sweep twice, by the command line. In the second sweep processes are killed with
SIGKILL, at moments drawn by a seed: a worker that trains, a worker before its first epoch, a whole node that trains,
the sweep's driver, the cluster's head, the driver while it searches re-ranking temperatures, and the driver while it
brings the mirror up to date; or several of them at once. After that a node joins again, a driver is followed by
`--resume`, a head by a new cluster on the same storage. A fault that hits nothing is an error. Settings are drawn at
random by trial number and nothing is stopped early, so that each trial must end with the value of the undisturbed
sweep. With `--sampler tpe --early-stops` values are not compared: what such a search draws and stops depends on the
order in which trials end. Exit code 1 where a trial is lost, doubled, left open or different.

    python -m benchmarks.chaos --trials 40
    python -m benchmarks.chaos --trials 40 --workers 2 --nodes 4 --faults worker,node,driver,head,worker+node
    python -m benchmarks.chaos --trials 8 --faults head --root FOLDER   # an undisturbed sweep found there is kept
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos_audit import compare, mlflow_statuses, problems, trials_of
from benchmarks.chaos_faults import EXPERIMENT, FAULTS, Sweep, parse_faults, plan
from raytrain.config import DataConfig, EncoderConfig, OptimConfig, RunConfig, VSEInfinityConfig, to_yaml
from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.tracking.journal import Journal
from tests.ray_cluster import LocalCluster, command_of, start_cluster
from tests.tables import make_table


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
    begin = [
        "--recipe", str(root / "recipe.yaml"), "--trials", str(given.trials), "--sampler", given.sampler,
        "--search-seed", str(given.seed), "--rerank-trials", "60", "--gpu", "no", "--workers", str(given.workers),
    ]  # fmt: skip
    if not given.early_stops:
        begin += ["--grace-epochs", str(given.epochs)]
    clusters: list[LocalCluster] = []
    try:
        clusters = [start_cluster(given.nodes)]
        calm = Sweep(clusters[0], root, "undisturbed", random.Random(0), given.nodes)
        if len(trials_of(calm.folder)) < given.trials:
            calm.start("--name", calm.name, *begin)
            calm.finish()
        hurt = Sweep(clusters[0], root, "disturbed", random.Random(given.seed), given.nodes)
        hurt.start("--name", hurt.name, *begin)
        clusters = hurt.clusters
        try:
            for moment in plan(given.faults, given.trials, given.seed, given.nodes // given.workers):
                hurt.strike(moment)
            hurt.finish()
        finally:
            hurt.driver.kill()
    finally:
        for cluster in clusters:
            cluster.stop()
    return report(calm, hurt, hurt.wrong + still_there(clusters), given)


def still_there(clusters: list[LocalCluster], patience_s: float = 30.0) -> list[str]:
    """The processes of clusters that were stopped, after the time that those may take which Ray ends itself."""
    deadline = time.monotonic() + patience_s
    while (pids := [pid for cluster in clusters for pid in cluster.everything()]) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [f"process {pid} is still there: {command_of(pid)[:200]!r}" for pid in pids]


def report(calm: Sweep, hurt: Sweep, wrong: list[str], given: argparse.Namespace) -> int:
    """Print both sweeps, their comparison and what went wrong; the exit code."""
    costs = {cost.sweep: cost for cost in sweep_costs(read_journals(hurt.root / "runs", EXPERIMENT))}
    print(
        f"{given.trials} trials of {given.epochs} epochs and {given.workers} workers each, "
        f"{given.nodes} nodes of one CPU, {os.cpu_count()} cores"
    )
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
    arguments.add_argument(
        "--faults", default=",".join(FAULTS), help="a fault may come more than once; worker+node: both at once"
    )
    arguments.add_argument("--workers", type=int, default=1, help="per trial")
    arguments.add_argument("--nodes", type=int, default=3, help="of one CPU each")
    arguments.add_argument("--sampler", default="random", choices=["random", "tpe"])
    arguments.add_argument("--early-stops", action="store_true", help="ASHA")
    arguments.add_argument("--seed", type=int, default=0, help="of the search and of the moments")
    arguments.add_argument("--root", type=Path, help="folder to keep; default one that is removed")
    given = arguments.parse_args()
    try:
        given.faults = parse_faults(given.faults)
    except ValueError as error:
        arguments.error(str(error))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the clusters are ended
    if given.root:
        given.root.mkdir(parents=True, exist_ok=True)
        return run(given, given.root.resolve())
    with tempfile.TemporaryDirectory() as folder:
        return run(given, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
