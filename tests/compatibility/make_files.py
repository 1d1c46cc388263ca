"""Make the files of this folder: runs, a sweep and their tables, and the numbers that they give, by commit 03b36b7.

    git worktree add --detach ../before 03b36b7
    cd ../before && PYTHONPATH=$PWD python ../raytrain/tests/compatibility/make_files.py

Run it with the checkout of 03b36b7 alone: the files show that later commits open what that one wrote. The sweep starts
a Ray of its own, which ends with it. Needs the extras `ray` and `fast`.

    files/
      captions/ queries/            tables
      storage/compatibility/        finished  words  composed  interrupted  views  views-t000 ...
      made.json                     what commands on these files printed, and what the interrupted run would have become

Runs name their table and storage by absolute paths below PLACE, which the test replaces in its copy. Each group of
commands in made.json begins with the files as they are.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parent / "files"
PLACE = "/tmp/raytrain-03b36b7"
RUNS = f"{PLACE}/storage/compatibility"
COMMIT = "03b36b7"
STOP_AFTER = 8  # steps, of which an epoch has 5

CAPTIONS = (f"data.table={PLACE}/captions", "optim.batch_size=20", "encoder.gpo_dim=4")
QUERIES = (f"data.table={PLACE}/queries", "optim.batch_size=8")


def training(recipe: str, name: str, epochs: int, *changes: str) -> list[str]:
    """The command that trains a run of D 8."""
    place = [f"storage={PLACE}/storage", "experiment=compatibility", f"name={name}"]
    sizes = ["encoder.dim=8", f"optim.num_epochs={epochs}", "data.min_word_count=1", "optim.lr=0.005"]
    return ["train", recipe, *place, *sizes, *changes, "--tracking", "none"]


INTERRUPTED = training("vse_infinity_flickr8k", "interrupted", 3, *CAPTIONS, "optim.ema_decay=0.5")
COMMANDS: dict[str, list[list[str]]] = {
    "check": [["data", "check", f"{PLACE}/captions"], ["data", "check", f"{PLACE}/queries"]],
    "list": [
        ["leaderboard", "--storage", f"{PLACE}/storage", "--out", f"{PLACE}/board"],
        ["cost", "--storage", f"{PLACE}/storage", "--runs"],
    ],
    "evaluate": [
        ["evaluate", f"{RUNS}/finished"],
        ["evaluate", f"{RUNS}/finished", "--split", "test", "--diagnostics"],
        ["evaluate", f"{RUNS}/finished", "--split", "test"],
        ["evaluate", f"{RUNS}/words", "--split", "test"],
        ["evaluate", f"{RUNS}/composed"],
        ["evaluate", f"{RUNS}/composed", "--split", "test"],
    ],
    "rerank": [
        ["rerank", f"{RUNS}/finished", "--trials", "20"],
        ["rerank", f"{RUNS}/finished", "--trials", "5", "--bank", "10,50", "--pooling", "mean"],
        ["evaluate", f"{RUNS}/finished", "--split", "test"],
    ],
    "resume": [INTERRUPTED, ["evaluate", f"{RUNS}/interrupted", "--split", "test"]],
    "sweep": [["sweep", "views", "--resume", f"{RUNS}/views", "--tracking", "none"]],
}
"""Groups of commands that begin with the files as they are."""


def main() -> None:
    import raytrain

    checkout = Path(raytrain.__file__).resolve().parent.parent
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    if not head.stdout.startswith(COMMIT):
        raise SystemExit(f"raytrain is imported from {checkout}, which is not at {COMMIT}")
    shutil.rmtree(PLACE, ignore_errors=True)
    make_tables()
    run(training("dvse_flickr8k", "finished", 2, *CAPTIONS, "method.views=2"))
    run(["rerank", f"{RUNS}/finished", "--trials", "20"])
    run(["evaluate", f"{RUNS}/finished"])
    run(training("vse_infinity_flickr8k_bigru", "words", 1, *CAPTIONS, "encoder.text.word_dim=6"))
    run(training("rau_products", "composed", 2, *QUERIES, "method.theta=0.5"))
    whole = run([part.replace("name=interrupted", "name=uninterrupted") for part in INTERRUPTED])
    epochs = [event["metrics"] for event in read_journal(Path(RUNS) / "uninterrupted") if event["event"] == "epoch"]
    shutil.rmtree(f"{RUNS}/uninterrupted")
    interrupt(INTERRUPTED)
    recipe = training("dvse_flickr8k", "", 2, *CAPTIONS, "method.views=2", "method.margin=0.3")[1:-2]
    budget = [
        "--trials",
        "3",
        "--workers",
        "1",
        "--concurrent",
        "1",
        "--gpu",
        "no",
        "--rerank-trials",
        "5",
        "--search-seed",
        "3",
    ]
    changes = [part for part in recipe[1:] if part != "name="]
    run(["sweep", "views", "--recipe", recipe[0], "--name", "views", *changes, *budget, "--tracking", "none"])
    keep()
    made: dict[str, Any] = {"place": PLACE, "uninterrupted": {"result": whole, "epochs": epochs}, "commands": {}}
    for group, commands in COMMANDS.items():
        shutil.rmtree(PLACE)
        shutil.copytree(FILES, PLACE)
        made["commands"][group] = [{"command": command, "result": run(command)} for command in commands]
        if group == "list":
            made["leaderboard.csv"] = csv_rows(Path(PLACE) / "board" / "leaderboard.csv")
    (FILES / "made.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.rmtree(PLACE)


def make_tables() -> None:
    from tests.tables import make_query_table, make_table

    place = Path(PLACE)
    place.mkdir()
    make_table(place / "captions", items=40, texts_per_item=5, regions=3, features=8, token_features=6, noise=1.0)
    make_query_table(place / "queries", bases=2, features=8, token_features=6)


def run(command: Sequence[str]) -> dict[str, Any]:
    """What a command of `raytrain` prints with --json, in a process with a Ray of its own where it starts one."""
    with tempfile.TemporaryDirectory(prefix="rc", dir="/tmp") as short:  # it holds sockets, whose paths are short
        (Path(short) / "token").touch(mode=0o600)
        (Path(short) / "token").write_text(secrets.token_hex(32), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RAYTRAIN_"))}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{short}/token", "TMPDIR": short}
        environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        words = [sys.executable, "-m", "raytrain.cli", *command, "--json"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def interrupt(command: Sequence[str]) -> None:
    """Train in this process, which gets SIGTERM in the midst of an epoch: the run stops at once, with a checkpoint."""
    import torch

    from raytrain.cli.main import main as raytrain

    torch.set_num_threads(1)
    clip, calls = torch.nn.utils.clip_grad_norm_, []

    def clip_then_stop(*given: Any, **more: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == STOP_AFTER:
            os.kill(os.getpid(), signal.SIGTERM)
        return clip(*given, **more)

    torch.nn.utils.clip_grad_norm_ = clip_then_stop
    with contextlib.redirect_stdout(io.StringIO()):
        code = raytrain(command)
    torch.nn.utils.clip_grad_norm_ = clip
    assert code == 75, code


def keep() -> None:
    """Copy what was made to FILES, without locks, figures, and checkpoints of any trial but the sweep's best."""
    shutil.rmtree(FILES, ignore_errors=True)
    shutil.copytree(PLACE, FILES, ignore=shutil.ignore_patterns("lock", "*.lock", "*.svg"))
    runs = FILES / "storage" / "compatibility"
    (end,) = [event for event in read_journal(runs / "views") if event["event"] == "end"]
    for checkpoint in runs.glob("views-t*/checkpoint_*"):
        if checkpoint.parent.name != end["best"]["run"]:
            shutil.rmtree(checkpoint)


def read_journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def csv_rows(path: Path) -> list[list[str]]:
    """The cells below the header."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


if __name__ == "__main__":
    main()
