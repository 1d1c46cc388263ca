"""The whole road in minutes: the embedded table, its features, a sweep of DVSE on Ray, a baseline, the leaderboard.

`make demo` runs this. Each step is a command of the README; what is there already is not made again.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tables" / "emoji"
STORAGE = ROOT / "runs"
TRIALS = 5


def main() -> int:
    started = time.monotonic()
    stamp = time.strftime("%m%d-%H%M%S")
    sweep = f"dvse-{stamp}"
    baseline = f"vse-infinity-{stamp}"
    place = [f"data.table={TABLE}", f"storage={STORAGE}"]
    if not (TABLE / "table.json").exists():
        step("table", "data", "build", "emoji", "--out", str(TABLE))
    step("images", "data", "encode", str(TABLE), "--backbone", "lite0", "--if-missing")
    step("texts", "data", "encode", str(TABLE), "--backbone", "minilm", "--if-missing")
    step(
        "sweep", "sweep", "dvse", "--recipe", "dvse_emoji", "--trials", str(TRIALS), "--workers", "2", "--gpu", "no",
        "--name", sweep, *place,
    )  # fmt: skip
    step("baseline", "train", "vse_infinity_emoji", f"name={baseline}", *place)
    step("temperatures", "rerank", str(STORAGE / "emoji" / baseline))
    best = best_run(sweep)
    step("test", "evaluate", str(STORAGE / "emoji" / best), str(STORAGE / "emoji" / baseline), "--split", "test")
    step("leaderboard", "leaderboard", "--storage", str(STORAGE), "--experiment", "emoji")
    print(f"\ndemo done in {time.monotonic() - started:.0f} s; open {STORAGE / 'leaderboard.html'}")
    return 0


def step(title: str, *arguments: str) -> None:
    """Run one command of raytrain, or end the demo with its exit code."""
    print(f"\n== {title}: raytrain {shlex.join(arguments)}", flush=True)
    started = time.monotonic()
    code = subprocess.run([sys.executable, "-m", "raytrain.cli", *arguments], cwd=ROOT, env=os.environ).returncode
    if code:
        print(f"the step '{title}' failed", file=sys.stderr)
        sys.exit(code)
    print(f"   {title}: {time.monotonic() - started:.0f} s", flush=True)


def best_run(sweep: str) -> str:
    """The run that the sweep chose."""
    sys.path.insert(0, str(ROOT))
    from raytrain.tracking.journal import Journal

    end = Journal(STORAGE / "emoji" / sweep).last("end")
    assert end is not None
    return str(end["best"]["run"])


if __name__ == "__main__":
    sys.exit(main())
