"""What a sweep costs beside its training: start-up, gaps between trials, and the same trials by a bare loop.

    python -m benchmarks.overhead --trial-seconds 60 --trials 8 --slots 2

Runs a sweep of equally long trials on a made-up table, one CPU per trial, `--slots` trials at a time. Then runs the
same configs by as many loops side by side, of which each starts `torchrun --nproc-per-node 1` for one config after the
other. Times come from the runs' journals: a run trains from its "start" line, which is written right before its first
step, to its "end" line. Prints for both ways the seconds to the first step, the gap between the end of a run and the
first step of the next run on that slot, and the share of wall time x slots that was training. Fails where a pair of
runs differs in steps or losses.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from raytrain.config import DataConfig, DVSEConfig, EncoderConfig, OptimConfig, RunConfig, override, to_yaml
from raytrain.tracking.journal import Journal
from tests.tables import make_table

EXPERIMENT = "overhead"


@dataclass(frozen=True)
class Timings:
    """Times of one way to run the trials, from the journals.

    Args:
        wall_s: from the start of the first process to the end of the last one.
        first_s: from the start of the first process to the first step of a run.
        gaps_s: from the end of a run to the first step of the next run on that slot.
        trained_s: from the first step of a run to its end, summed over the runs.
        slots: runs at a time.
    """

    wall_s: float
    first_s: float
    gaps_s: list[float]
    trained_s: float
    slots: int

    @property
    def ratio(self) -> float:
        return self.trained_s / (self.wall_s * self.slots)


def main() -> int:
    if sys.argv[1:2] == ["sweep"]:
        return _sweep(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial-seconds", type=float, default=60.0)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--images", type=int, default=4000, help="of the made-up table")
    parser.add_argument("--only", choices=["sweep", "loop"], help="leave the comparison out")
    given = parser.parse_args()
    # Ray puts its sockets below this folder, and their paths may have 107 characters at most
    with tempfile.TemporaryDirectory(prefix="ov", dir="/tmp") as folder:
        base, seconds = calibrated(Path(folder), given.images, given.trial_seconds)
        print(f"{given.trials} trials of {base.optim.num_epochs} epochs of {seconds:.2f} s, {given.slots} at a time")
        ways = {}
        if given.only != "loop":
            ways["raytrain sweep"] = by_sweep(base, given.trials, given.slots)
        if given.only != "sweep":
            ways["loop over torchrun"] = by_loops(base, given.trials, given.slots)
        print(table(ways))
        if len(ways) == 2:
            same(base, given.trials)
            print("both trained the same steps to the same losses")
    return 0


def margins(trial: Any) -> None:
    """A space of fields that do not change how long a trial takes."""
    trial.suggest_float("method.margin", 0.1, 0.3)
    trial.suggest_float("optim.lr", 1e-4, 1e-3, log=True)


def calibrated(folder: Path, images: int, trial_seconds: float) -> tuple[RunConfig, float]:
    """The trials' config, with as many epochs as take `trial_seconds` here, and the seconds per epoch."""
    make_table(folder / "table", items=images, regions=17, features=256)
    base = RunConfig(
        name="pilot",
        experiment=EXPERIMENT,
        storage=str(folder / "runs"),
        data=DataConfig(table=str(folder / "table"), min_word_count=1),
        encoder=EncoderConfig(dim=128),
        method=DVSEConfig(views=2),
        optim=OptimConfig(lr=5e-4, batch_size=64, num_epochs=4, decay_epochs=()),
    )
    _torchrun(base)
    times = [event["time"] for event in Journal(base.folder).read() if event["event"] in ("start", "epoch")]
    seconds = median(after - before for before, after in pairwise(times[1:]))
    return override(base, {"name": "", "optim.num_epochs": max(2, round(trial_seconds / seconds))}), seconds


def by_sweep(base: RunConfig, trials: int, slots: int) -> Timings:
    """Run all trials, none stopped early, with `raytrain sweep` on a cluster of its own."""
    recipe = Path(base.storage).parent / "sweep.yaml"
    recipe.write_text(to_yaml(base), encoding="utf-8")
    words = ["sweep", "margins", "--recipe", str(recipe), "--name", "sweep", "--trials", str(trials), "--rerank-trials",
             "0", "--concurrent", str(slots), "--grace-epochs", str(base.optim.num_epochs), "--gpu", "no",
             "--sampler", "random", "--tracking", "none"]  # fmt: skip
    began = time.time()
    # a token and a folder of its own, and no variable that leads Ray to another cluster
    root = Path(base.storage).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(root / "token"), "TMPDIR": str(root), "OMP_NUM_THREADS": "1"}
    _run([sys.executable, "-m", "benchmarks.overhead", *words], environment)
    journals = [Journal(Path(base.storage) / EXPERIMENT / f"sweep-t{number:03d}").read() for number in range(trials)]
    return timings_of(journals, began, time.time(), slots)


def _sweep(arguments: list[str]) -> int:
    """Run `raytrain sweep`, with our space among its spaces."""
    from raytrain.cli.main import main as raytrain
    from raytrain.sweeps.spaces import SPACES

    SPACES["margins"] = margins
    return raytrain(arguments)


def by_loops(base: RunConfig, trials: int, slots: int) -> Timings:
    """Run the sweep's configs (the base, where there was no sweep) by loops over torchrun: one loop per slot."""
    events = Journal(Path(base.storage) / EXPERIMENT / "sweep").read()
    tried = {event["number"]: event["params"] for event in events if event["event"] == "trial"}
    configs = [override(base, {**tried.get(n, {}), "name": f"loop-t{n:03d}"}) for n in range(trials)]
    began = time.time()
    with ThreadPoolExecutor(slots) as loops:
        list(loops.map(lambda slot: [_torchrun(config) for config in configs[slot::slots]], range(slots)))
    return timings_of([Journal(config.folder).read() for config in configs], began, time.time(), slots)


def _torchrun(config: RunConfig) -> None:
    recipe = Path(config.storage).parent / f"{config.name}.yaml"
    recipe.write_text(to_yaml(config), encoding="utf-8")
    _run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", "-m", "raytrain.cli",
          "train", str(recipe), "--tracking", "none"], {**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stderr[-3000:]}")


def timings_of(journals: list[list[dict[str, Any]]], began: float, ended: float, slots: int) -> Timings:
    """Timings from the journals of finished runs, of which `slots` ran at a time.

    A run takes the slot that was freed first.
    """
    spans = sorted((_time(events, "start"), _time(events, "end")) for events in journals)
    free = sorted(end for _, end in spans)
    gaps = [start - end for (start, _), end in zip(spans[slots:], free, strict=False)]
    return Timings(ended - began, spans[0][0] - began, gaps, sum(end - start for start, end in spans), slots)


def _time(events: list[dict[str, Any]], kind: str) -> float:
    return float(next(event["time"] for event in events if event["event"] == kind))


def same(base: RunConfig, trials: int) -> None:
    """Raises SystemExit where a trial of the sweep and its twin of the loop differ in steps or losses."""
    for number in range(trials):
        first, second = (
            [
                (event["step"], event["metrics"]["train/loss"], event["metrics"]["val/rsum"])
                for event in Journal(Path(base.storage) / EXPERIMENT / f"{way}-t{number:03d}").read()
                if event["event"] == "epoch"
            ]
            for way in ("sweep", "loop")
        )
        if first != second or len(first) != base.optim.num_epochs:
            raise SystemExit(f"trial {number}: the sweep trained {first}\nand the loop {second}")


def table(ways: dict[str, Timings]) -> str:
    lines = ["| | to the first step | gap between trials | largest | wall | training / (wall x slots) |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, way in ways.items():
        gaps = f"{fmean(way.gaps_s):.1f} s | {max(way.gaps_s):.1f} s" if way.gaps_s else "none | none"
        lines.append(f"| {name} | {way.first_s:.1f} s | {gaps} | {way.wall_s:.1f} s | {way.ratio:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
