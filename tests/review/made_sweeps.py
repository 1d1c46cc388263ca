"""Journals of runs and of a small sweep, with seconds that can be added up by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raytrain.review.prices import Prices

PRICES = Prices(currency="EUR", date="2026-11-01", gpu_hour={"A100": 3.6, "A100-SXM4-80": 7.2}, cpu_hour=0.36)


def start(time: float, workers: int = 1, device: str = "x86_64 CPU", **more: Any) -> dict[str, Any]:
    return {"event": "start", "time": time, "kind": "run", "workers": workers, "device": device, **more}


def epoch(time: float, number: int, worker_seconds: float) -> dict[str, Any]:
    return {"event": "epoch", "time": time, "epoch": number, "metrics": {"cost/worker_seconds": worker_seconds}}


def resume(time: float, done: int) -> dict[str, Any]:
    return {"event": "resume", "time": time, "epoch": done}


def end(time: float, status: str) -> dict[str, Any]:
    return {"event": "end", "time": time, "status": status}


def write(folder: Path, events: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def small_sweep(storage: Path, device: str = "NVIDIA A100-SXM4-80GB", slots: int | None = 4) -> None:
    """Two slots of two workers for 100 s: 80 + 40 + 30 worker-seconds kept, 2 x 5 lost, 4 x 100 = 400 held."""
    options = {"concurrent": 2, "resources_per_worker": {"CPU": 3.0}}
    sweep = {"kind": "sweep", "uid": "u", "workers": 2, "options": options} | ({"slots": slots} if slots else {})
    trials = [("t000", "complete"), ("t001", "pruned"), ("t002", "failed")]
    write(
        storage / "e" / "s",
        [
            {"event": "start", "time": 1000, **sweep},
            *(
                {"event": "trial", "time": 1050, "number": number, "run": f"s-{name}", "state": state, "params": {}}
                for number, (name, state) in enumerate(trials)
            ),
            end(1100, "finished"),
        ],
    )
    shared = {"workers": 2, "device": device, "parent": "u"}
    write(storage / "e" / "s-t000", [start(1010, **shared), epoch(1050, 1, 80), end(1050, "finished")])
    write(storage / "e" / "s-t001", [start(1010, **shared), epoch(1030, 1, 40), end(1035, "pruned")])
    write(storage / "e" / "s-t000-s1", [start(1060, **shared), epoch(1075, 1, 30), end(1075, "finished")])
    write(storage / "e" / "alone", [start(0, workers=9), epoch(10, 1, 90)])  # no part of the sweep
