"""Sweeps on 1 to 512 GPUs, simulated from the trials of recorded sweeps, and the simulator checked against them.

    python -m benchmarks.simulate_sweeps check              # predicted against recorded wall time of recorded sweeps
    python -m benchmarks.simulate_sweeps launch             # what drawing one trial costs the driver, by those before
    python -m benchmarks.simulate_sweeps plan --stretch 20  # a table for docs/scale.md

Trials are drawn, with replacement, from those of a recorded sweep: start-up, seconds an epoch, running best.
A trial that had been stopped early goes on as a complete one did, with its own seconds an epoch. `--stretch` makes the
epochs that much longer and leaves start-ups as they are. Failure rates are assumptions, stated in SCENARIOS.
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

from benchmarks.sweep_model import Cluster, Halving, Rates, Result, Simulation, Trial
from raytrain.tracking.journal import Journal

RESULTS = Path(__file__).resolve().parent.parent / "results"
RECORDED = {"emoji/methods-sweep": 1, "emoji_triplets/rau-sweep": 1, "flickr8k/dvse-sweep": 2}
"""Recorded sweeps, with the trials that ran at a time, each on one CPU."""
SCENARIOS = {
    "no failures": Rates(),
    # a node an hour in 6,250 is a GPU an hour in 50,000, about what large clusters report
    "own nodes": Rates(worker=1 / 5000, node=1 / 6250, driver=1 / 1000, slow_share=0.02, slow_factor=1.5),
    # nodes that may be taken away: each about once a day, and back after ten minutes
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
    """Read a sweep's journals. A start-up is the time from the slot that was free first to the run's start."""
    events = Journal(folder).read()
    start = next(event for event in events if event["event"] == "start")
    told = sorted((event for event in events if event["event"] == "trial"), key=lambda event: int(event["number"]))
    lives = []
    for event in told:
        lines = Journal(folder.parent / event["run"]).read()
        life = [line for line in lines if line["event"] in ("start", "epoch", "end")]
        # one that never started held its slot until it was recorded
        lives.append((life[0]["time"] if life else event["time"], life, event))
    free = [float(start["time"])] * slots
    by_number: dict[int, Trial] = {}
    for begun, life, event in sorted(lives, key=lambda one: one[0]):
        free.sort()
        gap = max(0.0, begun - free.pop(0))
        epochs = [line for line in life if line["event"] == "epoch"]
        times = [begun, *(float(line["time"]) for line in epochs)]
        best: list[float] = []
        for line in epochs:
            best.append(max([*best[-1:], float(line["metrics"][select])]))
        seconds = tuple(after - before for before, after in itertools.pairwise(times))
        by_number[int(event["number"])] = Trial(gap, seconds, tuple(best))
        free.append(float(life[-1]["time"]) if life and life[-1]["event"] == "end" else times[-1])
    config = start["config"]
    wall = max(float(event["time"]) for event in told) - float(start["time"])
    return Profile(
        f"{folder.parent.name}/{folder.name}",
        [by_number[number] for number in sorted(by_number)],
        int(config["optim.num_epochs"]),
        int(config.get("search.grace_epochs", 1)),
        int(config.get("search.reduction", 3)),
        wall,
    )


def draw(recorded: Sequence[Trial], epochs: int, count: int, seed: int) -> list[Trial]:
    """Trials of the full budget, drawn from recorded ones."""
    chance = random.Random(seed)
    whole = [trial for trial in recorded if len(trial.epochs_s) == epochs]
    found = []
    for _ in range(count):
        trial = chance.choice(list(recorded))
        done = len(trial.epochs_s)
        if 0 < done < epochs:
            like = chance.choice(whole)
            more = tuple(max(0.0, like.best[e] - like.best[done - 1]) + trial.best[-1] for e in range(done, epochs))
            mean = statistics.fmean(trial.epochs_s)
            trial = Trial(trial.startup_s, trial.epochs_s + (mean,) * (epochs - done), trial.best + more)
        found.append(trial)
    return found


def longer(trial: Trial, stretch: float) -> Trial:
    """With epochs that are so many times as long."""
    return replace(trial, epochs_s=tuple(stretch * seconds for seconds in trial.epochs_s))


def check() -> None:
    """Two predictions of each recorded sweep's wall time, printed beside it.

    Replayed: its own epochs, with the median start-up of the *other* sweeps; this checks slots and start-ups.
    Forecast: trials drawn from its first third alone, stopped by ASHA as the simulator decides; median and the middle
    nine tenths of 200 draws.
    """
    profiles = {name: profile(RESULTS / name, slots) for name, slots in RECORDED.items()}
    print("| sweep | slots | trials | recorded | replayed | error | forecast from its first third | error |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, slots in RECORDED.items():
        one = profiles[name]
        others = [trial.startup_s for other, p in profiles.items() if other != name for trial in p.trials]
        typical = statistics.median(others)
        replayed = Simulation([replace(t, startup_s=typical) for t in one.trials], Cluster(1, slots)).run().wall_s
        first = one.trials[: max(4, len(one.trials) // 3)]
        walls = sorted(
            Simulation(
                draw(first, one.epochs, len(one.trials), seed),
                Cluster(1, slots),
                halving=Halving(one.grace, one.reduction, one.epochs),
            )
            .run()
            .wall_s
            for seed in range(200)
        )
        middle = statistics.median(walls)
        print(
            f"| {name} | {slots} | {len(one.trials)} | {one.wall_s:.0f} s | {replayed:.0f} s | "
            f"{replayed / one.wall_s - 1:+.0%} | {middle:.0f} s ({walls[10]:.0f} to {walls[189]:.0f}) | "
            f"{middle / one.wall_s - 1:+.0%} |"
        )


def launch_cost(counts: Sequence[int] = (16, 64, 256, 512), repeats: int = 20) -> dict[int, float]:
    """{trials there are: seconds to draw one more}, with the sampler of our sweeps over DVSE's space."""
    import optuna

    from raytrain.sweeps.options import SweepOptions
    from raytrain.sweeps.study import sampler
    from search_spaces import SPACES

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    chance = random.Random(0)
    found = {}
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
        found[count] = statistics.fmean(seconds)
    return found


def plan(
    one: Profile,
    gpus: Sequence[int],
    trials: int,
    stretch: float,
    launch_s: Callable[[int], float],
    repeats: int,
    workers: int,
) -> None:
    print("| GPUs | scenario | wall | kept | start-up | lost | idle | stopped early | best found after |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for count in gpus:
        cluster = Cluster(max(1, count // 8), min(8, count), workers)
        for scenario, rates in SCENARIOS.items():
            results = [
                Simulation(
                    [longer(t, stretch) for t in draw(one.trials, one.epochs, trials, seed)],
                    cluster,
                    rates,
                    Halving(one.grace, one.reduction, one.epochs),
                    launch_s,
                    seed,
                ).run()
                for seed in range(repeats)
            ]
            print(row(count, scenario, results, trials))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("check")
    actions.add_parser("launch")
    table = actions.add_parser("plan")
    table.add_argument("--sweep", default="flickr8k/dvse-sweep", help="folder below results/, or any sweep's folder")
    table.add_argument("--slots", type=int, help="trials at a time in that sweep; known of the recorded ones")
    table.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64, 512])
    table.add_argument("--trials", type=int, default=512)
    table.add_argument("--workers", type=int, default=1, help="GPUs of a trial")
    table.add_argument("--stretch", type=float, default=1.0)
    table.add_argument("--launch-s", type=float, default=0.0, help="the driver's own seconds for each start")
    table.add_argument("--launch-per-trial-s", type=float, default=0.0, help="more for each trial begun before")
    table.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if args.action == "check":
        check()
    elif args.action == "launch":
        print("\n".join(f"{count} trials: {seconds:.3f} s" for count, seconds in launch_cost().items()))
    else:
        known = RESULTS / args.sweep
        one = profile(known if known.exists() else Path(args.sweep), args.slots or RECORDED.get(args.sweep, 1))
        plan(one, args.gpus, args.trials, args.stretch,
             lambda begun: args.launch_s + args.launch_per_trial_s * begun, args.repeats, args.workers)  # fmt: skip


if __name__ == "__main__":
    main()
