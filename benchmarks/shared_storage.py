"""Two sweeps and many leaderboards at once, on one storage and one mlflow.db: does each of them end well?

A cluster of local nodes runs two sweeps, started together by the command line, while several processes write the same
leaderboard files again and again. Afterwards both sweeps are audited as in benchmarks/chaos.py, and each leaderboard
must have ended with exit code 0 and have left whole files. Exit code 1 where something is wrong.

    python -m benchmarks.shared_storage --trials 6 --leaderboards 8
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import recipe
from benchmarks.chaos_audit import mlflow_statuses, problems
from benchmarks.chaos_faults import EXPERIMENT, Sweep
from raytrain.config import to_yaml
from tests.ray_cluster import ROOT, LocalCluster, start_cluster

NAMES = ("first", "second")


class Leaderboards:
    """Processes that write the leaderboard of a storage, each again as soon as it has ended."""

    def __init__(self, root: Path, count: int) -> None:
        self.root, self.count = root, count
        self.processes: list[subprocess.Popen[str]] = []
        self.written = 0
        self.wrong: list[str] = []

    def keep_up(self, again: bool = True) -> None:
        """Judge those that have ended, and with `again` start as many."""
        for process in [process for process in self.processes if not again or process.poll() is not None]:
            out, err = process.communicate()
            self.processes.remove(process)
            self.written += 1
            try:
                whole = process.returncode == 0 and bool(json.loads(out)["paths"])
            except (ValueError, KeyError):
                whole = False
            if not whole:
                self.wrong.append(f"a leaderboard ended with {process.returncode}: {(err or out).strip()[-300:]}")
        command = [sys.executable, "-m", "raytrain.cli", "leaderboard", "--storage", str(self.root / "runs"), "--json"]
        while again and len(self.processes) < self.count:
            pipe = subprocess.PIPE
            self.processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT))

    def files(self) -> list[str]:
        """What is wrong with the files that are left."""
        folder = self.root / "runs"
        wrong = [f"{path.name} is left over" for path in folder.glob("*.part*")]
        html = folder / "leaderboard.html"
        if not html.is_file() or "</html>" not in html.read_text(encoding="utf-8"):
            wrong.append("leaderboard.html is not whole")
        return wrong


def run(given: argparse.Namespace, root: Path) -> int:
    (root / "recipe.yaml").write_text(to_yaml(recipe(root, given.epochs)))
    cluster: LocalCluster = start_cluster(given.nodes)
    sweeps = [Sweep(cluster, root, name, random.Random(0), given.nodes) for name in NAMES]
    boards = Leaderboards(root, given.leaderboards)
    started = time.monotonic()
    try:
        for sweep in sweeps:
            sweep.start(
                "--name", sweep.name, "--recipe", str(root / "recipe.yaml"), "--trials", str(given.trials), "--gpu",
                "no", "--concurrent", str(max(1, given.nodes // 2)), "--rerank-trials", "10",
            )  # fmt: skip
        while any(sweep.driver.poll() is None for sweep in sweeps):
            if (root / "runs" / EXPERIMENT).is_dir():
                boards.keep_up()
            time.sleep(0.2)
        for sweep in sweeps:
            sweep.finish()
        boards.keep_up(again=False)
    finally:
        for sweep in sweeps:
            sweep.driver.kill()
        cluster.stop()
    wrong = boards.wrong + boards.files()
    statuses = mlflow_statuses(sweeps[0].uri, EXPERIMENT)
    for sweep in sweeps:
        wrong += [f"{sweep.name}: {what}" for what in problems(sweep.folder, given.trials, given.epochs, statuses)]
    seconds = time.monotonic() - started
    print(
        f"2 sweeps of {given.trials} trials on {given.nodes} nodes, {os.cpu_count()} cores: {seconds:.0f} s; "
        f"{boards.written} leaderboards written meanwhile, {given.leaderboards} at a time"
    )
    print("\n".join(wrong) if wrong else "nothing lost, nothing doubled, every leaderboard whole")
    return int(bool(wrong))


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--trials", type=int, default=6, help="of each sweep")
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--nodes", type=int, default=4, help="of one CPU each")
    arguments.add_argument("--leaderboards", type=int, default=8, help="processes that write at the same time")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(given, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
