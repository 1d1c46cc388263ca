"""What a sweep costs beside its training: start-up, gaps between trials, and the same trials by a bare loop.

    python -m benchmarks.overhead --trial-seconds 60 --trials 8 --slots 2

A sweep of equally long trials on a made-up table, one CPU a trial, `--slots` of them at a time; then the very same
configs by as many loops side by side, each of which starts `torchrun --nproc-per-node 1` for one after the other. Both
are told by their runs' journals: a run trains from its "start" line, which is written right before its first step, to
its "end". Says for each the seconds to the first step, the gap from the end of a run to the first step of the next one
on that slot, and which share of wall time x slots was training. Fails where a pair of runs differs in steps or losses.
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
class Told:
    """What the journals of one way to run the trials say.

    Args:
        wall_s: from the start of the first process to the end of the last.
        first_s: from there to the first run's first step.
        gaps_s: from the end of a run to the first step of the next one on that slot.
        trained_s: summed over the runs, from their first step to their end.
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
    # Ray's sockets lie below it, whose paths may have 107 characters
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
    """The space: what does not change how long a trial takes."""
    trial.suggest_float("method.margin", 0.1, 0.3)
    trial.suggest_float("optim.lr", 1e-4, 1e-3, log=True)


def calibrated(folder: Path, images: int, trial_seconds: float) -> tuple[RunConfig, float]:
    """The trials' config, with as many epochs as take `trial_seconds` here; and the seconds of one."""
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


def by_sweep(base: RunConfig, trials: int, slots: int) -> Told:
    """All trials, none stopped early, by the command line's `sweep` on a cluster of its own."""
    recipe = Path(base.storage).parent / "sweep.yaml"
    recipe.write_text(to_yaml(base), encoding="utf-8")
    words = ["sweep", "margins", "--recipe", str(recipe), "--name", "sweep", "--trials", str(trials), "--rerank-trials",
             "0", "--concurrent", str(slots), "--grace-epochs", str(base.optim.num_epochs), "--gpu", "no",
             "--sampler", "random", "--tracking", "none"]  # fmt: skip
    began = time.time()
    # a token and folder of its own; Ray would look for other clusters where it is told of one
    root = Path(base.storage).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(root / "token"), "TMPDIR": str(root), "OMP_NUM_THREADS": "1"}
    _run([sys.executable, "-m", "benchmarks.overhead", *words], environment)
    return told([Journal(Path(base.storage) / EXPERIMENT / f"sweep-t{number:03d}").read() for number in range(trials)],
                began, time.time(), slots)  # fmt: skip


def _sweep(arguments: list[str]) -> int:
    """`raytrain sweep`, with our space among those it knows."""
    from raytrain.cli.main import main as raytrain
    from search_spaces import SPACES

    SPACES["margins"] = margins
    return raytrain(arguments)


def by_loops(base: RunConfig, trials: int, slots: int) -> Told:
    """The sweep's configs, or the base where there was none, by loops over torchrun: one loop a slot."""
    events = Journal(Path(base.storage) / EXPERIMENT / "sweep").read()
    tried = {event["number"]: event["params"] for event in events if event["event"] == "trial"}
    configs = [override(base, {**tried.get(n, {}), "name": f"loop-t{n:03d}"}) for n in range(trials)]
    began = time.time()
    with ThreadPoolExecutor(slots) as loops:
        list(loops.map(lambda slot: [_torchrun(config) for config in configs[slot::slots]], range(slots)))
    return told([Journal(config.folder).read() for config in configs], began, time.time(), slots)


def _torchrun(config: RunConfig) -> None:
    recipe = Path(config.storage).parent / f"{config.name}.yaml"
    recipe.write_text(to_yaml(config), encoding="utf-8")
    _run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", "-m", "raytrain.cli",
          "train", str(recipe), "--tracking", "none"], {**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {done.returncode}:\n{done.stderr[-3000:]}")


def told(journals: list[list[dict[str, Any]]], began: float, ended: float, slots: int) -> Told:
    """What journals of finished runs say of a time with `slots` of them at once.

    The slot that was freed first is the one that the next run takes.
    """
    spans = sorted((_time(events, "start"), _time(events, "end")) for events in journals)
    free = sorted(end for _, end in spans)
    gaps = [start - end for (start, _), end in zip(spans[slots:], free, strict=False)]
    return Told(ended - began, spans[0][0] - began, gaps, sum(end - start for start, end in spans), slots)


def _time(events: list[dict[str, Any]], kind: str) -> float:
    return float(next(event["time"] for event in events if event["event"] == kind))


def same(base: RunConfig, trials: int) -> None:
    """Raises where a trial and its twin of the loop trained other steps, or to other losses."""
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


def table(ways: dict[str, Told]) -> str:
    lines = ["| | to the first step | gap between trials | largest | wall | training / (wall x slots) |",
             "|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, one in ways.items():
        gaps = f"{fmean(one.gaps_s):.1f} s | {max(one.gaps_s):.1f} s" if one.gaps_s else "none | none"
        lines.append(f"| {name} | {one.first_s:.1f} s | {gaps} | {one.wall_s:.1f} s | {one.ratio:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
