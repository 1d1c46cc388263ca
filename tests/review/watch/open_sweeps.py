"""A sweep of eight trials part of the way, with times that can be added up by hand: its driver started at 1000 s."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.review.made_sweeps import end, start, write

NOW = 1400.0
CONFIG = {"evaluation.select": "val/rsum", "optim.num_epochs": 10, "optim.lr": 0.5, "method.views": 4, "seed": 0}


def value(time: float, number: int, rsum: float) -> dict[str, Any]:
    """An epoch that ended with this value."""
    return {"event": "epoch", "time": time, "epoch": number, "step": number, "metrics": {"val/rsum": rsum}}


def trial(time: float, number: int, state: str, rsum: float | None, **more: Any) -> dict[str, Any]:
    fields = {"number": number, "run": f"s-t{number:03d}", "params": {"optim.lr": number / 10}, "epochs": 10}
    return {"event": "trial", "time": time, "state": state, "value": rsum, **fields, **more}


def sweep_events(**options: Any) -> list[dict[str, Any]]:
    """Three trials that ended at 1200 s, of 10, 5 and 0 epochs."""
    begin = {
        "event": "start", "time": 1000, "kind": "sweep", "uid": "u", "run": "s", "workers": 2, "slots": 6,
        "config": CONFIG, "space": "dvse", "options": {"trials": 8, **options},
    }  # fmt: skip
    return [
        begin,
        trial(1200, 0, "complete", 300.0),
        trial(1200, 1, "pruned", 200.0, epochs=5),
        trial(1200, 2, "failed", None, epochs=0, error="NonFiniteError: step 3: loss is nan\nTraceback"),
    ]


def append(folder: Path, event: dict[str, Any]) -> None:
    with open(folder / "journal.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def open_sweep(folder: Path, **options: Any) -> None:
    """The sweep with two trials that train since 1200 s: one after 3 epochs of 50 s, one before its first."""
    write(folder / "s", sweep_events(**options))
    run = {"parent": "u", "config": CONFIG, "workers": 2}
    write(folder / "s-t000", [start(1010, **run), value(1190, 10, 300.0), end(1200, "finished")])
    write(
        folder / "s-t003",
        [start(1200, **run), value(1250, 1, 250.0), value(1300, 2, 310.0), value(1350, 3, 305.0)],
    )
    write(folder / "s-t004", [start(1390, **run)])
    write(folder / "s-other", [start(1390, **run)])  # no name of a trial
