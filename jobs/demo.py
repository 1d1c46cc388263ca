"""The whole road in minutes: the embedded table, a search of DVSE on Ray, a baseline tuned as hard, the verdict.

`make demo` runs this. Each step is a command of the README; what is there already is not made again. Both methods get
the same number of trials over the same fields of the optimizer. The best trial of each is trained with two
more seeds, DVSE with two DDP workers, so that no lucky seed decides; then test is opened, once.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tables" / "emoji"
STORAGE = ROOT / "runs"
EXPERIMENT = STORAGE / "emoji"
TRIALS = 8
RUNS_PAGE = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning"
SETTINGS = (f"data.table={TABLE}", f"storage={STORAGE}", "data.regions=global", "encoder.pooling=mean")
"""Of both methods: on so few images regions and learned pooling gain nothing (docs/log.md) and double the time."""
SEEDS = (1, 2)
"""Of the further runs of what each sweep chose; its trials have seed 0."""


def main() -> int:
    started = time.monotonic()
    stamp = time.strftime("%m%d-%H%M%S")
    if not (TABLE / "table.json").exists():
        step("table", ["data", "build", "emoji", "--out", str(TABLE)])
    step("images", ["data", "encode", str(TABLE), "--backbone", "lite0", "--if-missing"])
    step("texts", ["data", "encode", str(TABLE), "--backbone", "minilm", "--if-missing"])

    dvse, dvse_best = f"dvse-{stamp}", search("dvse", f"dvse-{stamp}")
    for seed in SEEDS:
        step(f"DVSE, seed {seed}", [*again(dvse_best, dvse, seed), "--workers", "2", "--gpu", "no"])
    baseline, baseline_best = f"vse-infinity-{stamp}", search("vse_infinity", f"vse-infinity-{stamp}")
    step("VSE-infinity, further seeds", *(again(baseline_best, baseline, seed) for seed in SEEDS))

    repeated = [EXPERIMENT / run_name(sweep, seed) for sweep in (dvse, baseline) for seed in SEEDS]
    step("test", ["evaluate", *map(str, [dvse_best, baseline_best, *repeated]), "--split", "test"])
    step("contact sheet", ["evaluate", str(dvse_best), "--sheet"])
    step("leaderboard", ["leaderboard", "--storage", str(STORAGE), "--experiment", "emoji"])
    of_sweep = answer_of("report", str(EXPERIMENT / dvse))
    of_all = answer_of("report", str(EXPERIMENT))
    raytrain, mlflow = (Path(sys.executable).with_name(name) for name in ("raytrain", "mlflow"))
    print(f"\ndemo done in {time.monotonic() - started:.0f} s")
    print(f"verdict: {of_all['verdict']} {of_sweep['verdict']}")
    print(f"report:  {of_all['path']}")
    print(f'search:  {raytrain} search {dvse_best} "red heart" --html {STORAGE / "search.html"}')
    print(f"MLflow:  {mlflow} ui --backend-store-uri sqlite:///{STORAGE / 'mlflow.db'}, then {RUNS_PAGE}")
    return 0


def search(method: str, sweep: str) -> Path:
    """Search the few fields that move a method most, two trials at a time; the folder of the run that it chose."""
    step(
        f"search of {method}",
        ["sweep", f"{method}_core", "--recipe", f"{method}_emoji", "--trials", str(TRIALS), "--concurrent", "2",
         "--gpu", "no", "--rerank-trials", "100", "--name", sweep, *SETTINGS],
    )  # fmt: skip
    events = [json.loads(line) for line in (EXPERIMENT / sweep / "journal.jsonl").read_text().splitlines()]
    (end,) = (event for event in events if event["event"] == "end")
    return EXPERIMENT / str(end["best"]["run"])


def again(run: Path, sweep: str, seed: int) -> list[str]:
    """The command that trains a run's own settings with another seed."""
    settings = sorted(run.glob("checkpoint_*/config.yaml"))[-1]
    return ["train", str(settings), f"seed={seed}", f"name={run_name(sweep, seed)}"]


def run_name(sweep: str, seed: int) -> str:
    return f"{sweep}-seed{seed}"


def answer_of(*command: str) -> dict[str, Any]:
    """What a command of raytrain prints with --json."""
    raytrain = [sys.executable, "-m", "raytrain.cli", *command, "--json"]
    done = subprocess.run(raytrain, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def step(title: str, *commands: list[str]) -> None:
    """Run commands of raytrain at once, or end the demo with the exit code of one that failed."""
    for command in commands:
        print(f"\n== {title}: raytrain {shlex.join(command)}", flush=True)
    started = time.monotonic()
    raytrain = [sys.executable, "-m", "raytrain.cli"]
    processes = [subprocess.Popen([*raytrain, *command], cwd=ROOT, env=os.environ) for command in commands]
    codes = [process.wait() for process in processes]
    if any(codes):
        print(f"the step '{title}' failed", file=sys.stderr)
        sys.exit(max(codes))
    print(f"   {title}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
