"""Sweeps on 1 to 512 GPUs, simulated from the trials of recorded sweeps, and the simulator checked against them.

    python -m benchmarks.simulate_sweeps check              # predicted against recorded wall time of recorded sweeps
    python -m benchmarks.simulate_sweeps launch             # seconds to draw a trial, by the number of earlier trials
    python -m benchmarks.simulate_sweeps plan               # a table for docs/scale.md

Trials are drawn, with replacement, from those of a recorded sweep: seconds per epoch, running best. A trial that had
been stopped early is continued like a complete one, with its own seconds per epoch. `plan` then makes each of them as
many epochs long as it is told: an epoch takes as long as all others of its trial, and the mean of all full trials is
`--trial-h`. The running best is that of the recorded trial at the same share of its length, on a line from 0 to its
first epoch, so that trials keep their order. Start-ups, the first read of the features on a node, and failure rates are
not those of the recordings; they are options, or stated in SCENARIOS.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.sweep_model import Simulation
from benchmarks.sweep_parts import Cluster, Halving, Rates, Result, StartUp, Trial
from raytrain.tracking.journal import Journal

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORDED = {"emoji/methods-sweep": 1, "emoji_triplets/rau-sweep": 1, "flickr8k/dvse-sweep": 2}
"""Recorded sweeps, with the trials that ran at a time, each on one CPU."""
SCENARIOS = {
    "no failures": Rates(),
    # one failure per node in 6,250 hours is one per GPU in 50,000 hours, about what large clusters report
    "own nodes": Rates(worker=1 / 5000, node=1 / 6250, driver=1 / 1000, slow_share=0.02, slow_factor=1.5),
    # nodes that may be taken away: each about once per day, and back after ten minutes
    "spot nodes": Rates(worker=1 / 5000, node=1 / 24, driver=1 / 200, slow_share=0.02, slow_factor=1.5),
}


@dataclass(frozen=True)
class Profile:
    """A recorded sweep: its trials by number, the epochs of a full one, ASHA's settings, and its wall seconds."""

    name: str
    trials: list[Trial]
    epochs: int
    grace: int
    reduction: int
    wall_s: float


def profile(folder: Path, slots: int, select: str = "val/rsum") -> Profile:
    """Read a sweep's journals. A start-up is the time between the end of a run on a slot and the next run's start."""
    events = Journal(folder).read()
    start = next(event for event in events if event["event"] == "start")
    recorded = sorted((event for event in events if event["event"] == "trial"), key=lambda event: int(event["number"]))
    runs = []
    for event in recorded:
        journal = Journal(folder.parent / event["run"]).read()
        lines = [line for line in journal if line["event"] in ("start", "epoch", "end")]
        # a trial that never started held its slot until it was recorded
        runs.append((lines[0]["time"] if lines else event["time"], lines, event))
    free = [float(start["time"])] * slots
    by_number: dict[int, Trial] = {}
    for begun, lines, event in sorted(runs, key=lambda run: run[0]):
        free.sort()
        gap = max(0.0, begun - free.pop(0))
        epochs = [line for line in lines if line["event"] == "epoch"]
        times = [begun, *(float(line["time"]) for line in epochs)]
        best: list[float] = []
        for line in epochs:
            best.append(max([*best[-1:], float(line["metrics"][select])]))
        seconds = tuple(after - before for before, after in itertools.pairwise(times))
        by_number[int(event["number"])] = Trial(gap, seconds, tuple(best))
        free.append(float(lines[-1]["time"]) if lines and lines[-1]["event"] == "end" else times[-1])
    config = start["config"]
    wall = max(float(event["time"]) for event in recorded) - float(start["time"])
    return Profile(
        f"{folder.parent.name}/{folder.name}",
        [by_number[number] for number in sorted(by_number)],
        int(config["optim.num_epochs"]),
        int(config.get("search.grace_epochs", 1)),
        int(config.get("search.reduction", 3)),
        wall,
    )


def draw(recorded: Sequence[Trial], epochs: int, count: int, seed: int) -> list[Trial]:
    """Trials of all epochs, drawn from recorded ones."""
    chance = random.Random(seed)
    whole = [trial for trial in recorded if len(trial.epochs_s) == epochs]
    drawn = []
    for _ in range(count):
        trial = chance.choice(list(recorded))
        done = len(trial.epochs_s)
        if 0 < done < epochs:
            like = chance.choice(whole)
            more = tuple(max(0.0, like.best[e] - like.best[done - 1]) + trial.best[-1] for e in range(done, epochs))
            mean = statistics.fmean(trial.epochs_s)
            trial = Trial(trial.startup_s, trial.epochs_s + (mean,) * (epochs - done), trial.best + more)
        drawn.append(trial)
    return drawn


def of_length(trials: Sequence[Trial], epochs: int, mean_s: float) -> list[Trial]:
    """The trials with so many epochs each, of `mean_s` seconds per trial on average; failed ones stay as they are.

    Args:
        trials: complete, or without an epoch.
    """
    whole = [trial for trial in trials if trial.epochs_s]
    factor = mean_s / statistics.fmean(epochs * statistics.fmean(trial.epochs_s) for trial in whole)
    made = []
    for trial in trials:
        if trial.epochs_s:
            recorded = np.arange(len(trial.best) + 1) * epochs / len(trial.best)
            best = np.interp(np.arange(1, epochs + 1), recorded, (0.0, *trial.best))
            seconds = factor * statistics.fmean(trial.epochs_s)
            trial = replace(trial, epochs_s=(seconds,) * epochs, best=tuple(best.tolist()))
        made.append(trial)
    return made


def start_up(args: argparse.Namespace, nodes: int) -> StartUp:
    """Start-ups on so many nodes, which read the features from shared storage at the same time."""
    read_s = args.features_gb / min(args.node_gb_per_s, args.storage_gb_per_s / nodes)
    copy_s = args.features_gb / args.copy_gb_per_s if args.copy_gb_per_s else 0.0
    several = args.workers > 1
    process_s = (args.group_s if several else args.process_s) + args.cuda_s
    return StartUp(process_s, args.gap_s + args.probe_s + copy_s, read_s, reuse=not several)


def check() -> None:
    """Print each recorded sweep's wall time beside two predictions of it.

    Replayed: its own epochs, with the median start-up of the *other* sweeps; this checks slots and start-ups.
    Forecast: trials drawn from its first third alone, stopped by ASHA as the simulator decides; the median of 200
    draws, and the range of the middle nine tenths of them.
    """
    profiles = {name: profile(RESULTS / name, slots) for name, slots in RECORDED.items()}
    print("| sweep | slots | trials | recorded | replayed | error | forecast from its first third | error |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, slots in RECORDED.items():
        sweep = profiles[name]
        others = [trial.startup_s for other, p in profiles.items() if other != name for trial in p.trials]
        typical = statistics.median(others)
        replayed = Simulation([replace(t, startup_s=typical) for t in sweep.trials], Cluster(1, slots)).run().wall_s
        first = sweep.trials[: max(4, len(sweep.trials) // 3)]
        walls = sorted(
            Simulation(
                draw(first, sweep.epochs, len(sweep.trials), seed),
                Cluster(1, slots),
                halving=Halving(sweep.grace, sweep.reduction, sweep.epochs),
            )
            .run()
            .wall_s
            for seed in range(200)
        )
        middle = statistics.median(walls)
        print(
            f"| {name} | {slots} | {len(sweep.trials)} | {sweep.wall_s:.0f} s | {replayed:.0f} s | "
            f"{replayed / sweep.wall_s - 1:+.0%} | {middle:.0f} s ({walls[10]:.0f} to {walls[189]:.0f}) | "
            f"{middle / sweep.wall_s - 1:+.0%} |"
        )


def launch_cost(counts: Sequence[int] = (16, 64, 256, 512), repeats: int = 20) -> dict[int, float]:
    """{number of earlier trials: seconds to draw one more}, with the sampler of our sweeps over DVSE's space."""
    import optuna

    from raytrain.sweeps.options import SweepOptions
    from raytrain.sweeps.spaces import SPACES
    from raytrain.sweeps.study import sampler

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    chance = random.Random(0)
    seconds_by_count = {}
    for count in counts:
        study.sampler = optuna.samplers.RandomSampler(seed=count)
        while len(study.get_trials(deepcopy=False)) < count:
            trial = study.ask()
            SPACES["dvse"](trial)
            study.tell(trial, chance.random())
        study.sampler = sampler(SweepOptions(trials=count))
        seconds = []
        for _ in range(repeats):
            begun = time.perf_counter()
            trial = study.ask()
            SPACES["dvse"](trial)
            seconds.append(time.perf_counter() - begun)
            study.tell(trial, chance.random())
        seconds_by_count[count] = statistics.fmean(seconds)
    return seconds_by_count


def plan(sweep: Profile, args: argparse.Namespace) -> None:
    """Print a line per number of GPUs and scenario."""
    print("| GPUs | scenario | wall | kept | start-up | lost | idle | stopped early | best found after |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for count in args.gpus:
        cluster = Cluster(max(1, count // 8), min(8, count), args.workers)
        for scenario in args.scenarios:
            results = [
                Simulation(
                    of_length(draw(sweep.trials, sweep.epochs, args.trials, seed), args.epochs, 3600 * args.trial_h),
                    cluster,
                    SCENARIOS[scenario],
                    Halving(args.grace, args.reduction, args.epochs),
                    lambda begun: args.launch_s + args.launch_per_trial_s * begun,
                    seed,
                    start_up(args, cluster.nodes),
                ).run()
                for seed in range(args.repeats)
            ]
            print(row(count, scenario, results, args.trials), flush=True)


def row(gpus: int, scenario: str, results: Sequence[Result], trials: int) -> str:
    def mean(value: Callable[[Result], float]) -> float:
        return statistics.fmean(value(result) for result in results)

    shares = " | ".join(
        f"{mean(lambda r, what=what: r.share(what)):.1%}" for what in ("kept", "startup", "lost", "idle")
    )
    return (
        f"| {gpus} | {scenario} | {hours(mean(lambda r: r.wall_s))} | {shares} | "
        f"{mean(lambda r: r.stopped) / trials:.0%} | {hours(mean(lambda r: r.best_at_s))} |"
    )


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("check")
    actions.add_parser("launch")
    table = actions.add_parser("plan")
    table.add_argument("--sweep", default="flickr8k/dvse-sweep", help="folder below results/, or any sweep's folder")
    table.add_argument("--slots", type=int, help="trials at a time in that sweep; default that of a recorded one")
    table.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64, 512])
    table.add_argument("--trials", type=int, default=512)
    table.add_argument("--workers", type=int, default=1, help="GPUs per trial")
    table.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    table.add_argument("--epochs", type=int, default=24, help="of a full trial")
    table.add_argument("--grace", type=int, default=1, help="epochs of the first rung")
    table.add_argument("--reduction", type=int, default=3, help="a rung is this many times the one before")
    table.add_argument("--trial-h", type=float, default=1.0, help="mean hours that all epochs of a trial take")
    table.add_argument("--process-s", type=float, default=12.6, help="to the first step of a new process (measured)")
    table.add_argument("--gap-s", type=float, default=0.3, help="between two trials of a process (measured)")
    table.add_argument("--group-s", type=float, default=20.5, help="to start a trial of several workers (measured)")
    table.add_argument("--cuda-s", type=float, default=10.0, help="CUDA's context and libraries, per process (assumed)")
    table.add_argument("--probe-s", type=float, default=5.0, help="probe of the batch, per trial (assumed)")
    table.add_argument("--features-gb", type=float, default=16.7, help="that a trial reads; those of COCO")
    table.add_argument("--node-gb-per-s", type=float, default=1.0, help="a node's first read of them (assumed)")
    table.add_argument("--storage-gb-per-s", type=float, default=10.0, help="shared storage, all nodes (assumed)")
    table.add_argument("--copy-gb-per-s", type=float, default=10.0, help="to a GPU's memory; 0: stay (assumed)")
    table.add_argument("--launch-s", type=float, default=0.2, help="seconds of the driver per start of a trial")
    table.add_argument("--launch-per-trial-s", type=float, default=0.0006, help="further seconds per earlier trial")
    table.add_argument("--repeats", type=int, default=5)
    return parser


def main() -> None:
    args = options().parse_args()
    if args.action == "check":
        check()
    elif args.action == "launch":
        print("\n".join(f"{count} trials: {seconds:.3f} s" for count, seconds in launch_cost().items()))
    else:
        recorded = RESULTS / args.sweep
        sweep = profile(recorded if recorded.exists() else Path(args.sweep), args.slots or RECORDED.get(args.sweep, 1))
        plan(sweep, args)


if __name__ == "__main__":
    main()
