"""What `raytrain watch` costs: CPU time of its first look at a large sweep, of further ones, and after new epochs.

    python -m benchmarks.watching
    python -m benchmarks.watching --trials 2000 --epochs 50

A sweep is made up whose last trials still train. A look reads what is new in the journals, computes the progress, and
draws the screen. Reading all journals anew, as `raytrain leaderboard` does, is timed in the same process, and is 100 %.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.small_forms import add_options, cpu_s, run_small
from raytrain.config import flatten
from raytrain.recipes import RECIPES
from raytrain.review.accounting import read_journals
from raytrain.review.watch.journals import JournalsReader
from raytrain.review.watch.progress_of import progress_of
from raytrain.review.watch.screen import screen_of
from raytrain.tracking.journal import NAME

EXPERIMENT, SWEEP = "watched", "sweep"
METRICS = {f"val/{way}/recall_at_{k}": 30.123456 for way in ("i2t", "t2i") for k in (1, 5, 10)} | {
    f"train/term_{number}": 1.2345678 for number in range(14)
}


def write_lines(folder: Path, events: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / NAME, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def epoch(number: int, at: float) -> dict[str, Any]:
    metrics = METRICS | {"val/rsum": 300 + number / 10}
    return {"event": "epoch", "time": at, "epoch": number, "step": 100 * number, "metrics": metrics}


def make_sweep(storage: Path, trials: int, epochs: int, training: int) -> list[Path]:
    """Write the journals of a sweep; the folders of the trials that still train, at half of their epochs."""
    config = flatten(RECIPES["dvse_emoji"]()) | {"optim.num_epochs": epochs}
    params = {name: config[name] for name in ("optim.lr", "optim.batch_size", "method.margin", "method.views")}
    began = time.time() - 36_000
    start = {"kind": "sweep", "uid": "s", "run": SWEEP, "workers": 1, "slots": training, "space": "dvse"}
    own = [{"event": "start", "time": began, "config": config, "options": {"trials": trials}, **start}]
    open_runs = []
    for number in range(trials):
        folder, ends = storage / EXPERIMENT / f"{SWEEP}-t{number:03d}", number < trials - training
        at = began + number
        events = [{"event": "start", "time": at, "kind": "run", "uid": f"u{number}", "parent": "s", "config": config}]
        events += [epoch(n, at + n) for n in range(1, (epochs if ends else epochs // 2) + 1)]
        if ends:
            end = at + epochs + 1
            events.append({"event": "end", "time": end, "status": "finished"})
            own.append({
                "event": "trial", "time": end, "number": number, "run": folder.name, "state": "complete",
                "params": params, "value": 320.0, "epochs": epochs,
            })  # fmt: skip
        else:
            open_runs.append(folder)
        write_lines(folder, events)
    write_lines(storage / EXPERIMENT / SWEEP, own)
    return open_runs


def small() -> dict[str, float]:
    """Reading all journals over a further look."""
    looks = costs(40, 100, 4)
    return {"watch, a further look": looks["all journals read"] / looks["further look"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--training", type=int, default=20, help="trials that have not ended")
    add_options(parser)
    given = parser.parse_args()
    if given.small:
        return run_small(small, given.json)
    looks = costs(given.trials, given.epochs, given.training)
    print(f"{given.trials} trials of {given.epochs} epochs, {given.training} of them training")
    for what, seconds in looks.items():
        print(f"  {what}: {seconds:.3f} s of CPU, {seconds / looks['all journals read']:.2%}")


def costs(trials: int, epochs: int, training: int) -> dict[str, float]:
    """{what: CPU seconds} of looks at a made-up sweep."""
    with tempfile.TemporaryDirectory() as place:
        storage = Path(place)
        open_runs = make_sweep(storage, trials, epochs, training)
        whole = cpu_s(lambda: read_journals(storage, EXPERIMENT))
        reader = JournalsReader(storage / EXPERIMENT / SWEEP)
        console = Console(file=io.StringIO(), width=120, force_terminal=True)

        def look() -> None:
            now = time.time()
            console.print(screen_of(progress_of(reader.look(now), now), 40))

        first, again = cpu_s(look), min(cpu_s(look) for _ in range(5))
        for folder in open_runs:
            write_lines(folder, [epoch(epochs // 2 + 1, time.time())])
        grown = cpu_s(look)
    return {"all journals read": whole, "first look": first, "further look": again, "look after new epochs": grown}


if __name__ == "__main__":
    main()
