"""A sweep made up in a test, with all that a report shows: failures, restarts, repeats, an open run, diagnostics."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tests.review.made_runs import CROSS, DATA, change_evaluation, make_run, write_search, write_space
from tests.review.made_sweeps import end, write

SPACE: dict[str, Any] = {
    "optim.lr": {"name": "FloatDistribution", "attributes": {"step": None, "low": 1e-5, "high": 1e-1, "log": True}},
    "method.views": {"name": "IntDistribution", "attributes": {"log": False, "step": 1, "low": 1, "high": 8}},
    "method.score": {"name": "CategoricalDistribution", "attributes": {"choices": ["max", "mean"]}},
}
RECALLS = [f"val/{side}/recall_at_{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]


def params_of(number: int) -> dict[str, Any]:
    return {"optim.lr": 10.0 ** -(1 + number % 4), "method.views": 1 + number % 5,
            "method.score": ("max", "mean")[number % 2]}  # fmt: skip


def value_of(number: int) -> float:
    return 300.0 + 20.0 * math.sin(number)


def made_sweep(storage: Path, trials: int = 12, epochs: int = 3, ended: bool = True) -> Path:
    """A sweep "search" of experiment "made" and its runs; every fifth trial is pruned, the fourth failed.

    The second trial was killed and started again. With `ended` False the last trial still trains.

    Returns:
        The sweep's folder.
    """
    folder = storage / "made" / "search"
    base = {
        "method.kind": "dvse",
        "data.table": "tables/made",
        "optim.num_epochs": epochs,
        "evaluation.select": "val/rsum",
    }
    options = {"concurrent": 2, "trials": trials, "cost": "index_bytes"}
    start = {"event": "start", "time": 1000.0, "kind": "sweep", "uid": "search", "run": "search", "experiment": "made",
             "workers": 1, "slots": 2, "options": options, "config": base, "fingerprint": DATA}  # fmt: skip
    lines = [start, {"event": "room", "time": 1030.0, "slots": 3}]
    for number in range(trials):
        name, begin = f"search-t{number:03d}", 1000.0 + 20.0 * (number // 2) + number % 2
        params = params_of(number)
        config = base | params | {"name": name, "seed": 0}
        state = "failed" if number == 3 else "pruned" if number % 5 == 4 else "finished"
        run: list[dict[str, Any]] = [
            {"event": "start", "time": begin, "kind": "run", "uid": name, "parent": "search", "run": name, "seed": 0,
             "experiment": "made", "config": config, "fingerprint": DATA, "workers": 1, "device": "x86_64 CPU"}
        ]  # fmt: skip
        for epoch in range(1, (2 if state != "finished" else epochs) + 1):
            value = value_of(number) - 5.0 * (epochs - epoch)
            metrics = dict.fromkeys(RECALLS, value / 6) | {
                "val/rsum": value, "train/loss": 500.0 / epoch**4, "diagnostics/set_cosine": 0.5 + 0.1 * epoch,
                "cost/worker_seconds": 4.0 * epoch,
            }  # fmt: skip
            run.append(
                {"event": "epoch", "time": begin + 4.0 * epoch, "epoch": epoch, "step": epoch, "metrics": metrics}
            )
            if number == 1 and epoch == 1:
                run.append({"event": "resume", "time": begin + 6.0, "epoch": 1})
        if ended or number < trials - 1:
            run.append(end(begin + 15.0, state) | ({"error": "ran out of memory"} if state == "failed" else {}))
            value_or_none = None if state == "failed" else run[-2]["metrics"]["val/rsum"]
            recorded = {"finished": "complete"}.get(state, state)
            lines.append(
                {"event": "trial", "time": begin + 15.0, "number": number, "run": name, "state": recorded,
                 "params": params, "value": value_or_none, "epochs": 3, "cost": 256.0 * params["method.views"]}
            )  # fmt: skip
        write(folder.parent / name, run)
    if ended:
        lines.append(end(1000.0 + 12.0 * trials, "finished"))
    write(folder, lines)
    write_space(folder, SPACE)
    return folder


def made_experiment(storage: Path) -> Path:
    """Experiment "made": two methods over two seeds with tests, one re-ranked and diagnosed, and a sweep beside them.

    Returns:
        The experiment's folder.
    """
    folder = storage / "made"
    for seed in (0, 1):
        for name, kind, strength in (("dvse", "dvse", 1.4), ("vse", "vse_infinity", 0.6)):
            make_run(
                folder / f"{name}-s{seed}", seed, strength, temperatures=CROSS if name == "dvse" else None,
                **{"method.kind": kind, "method.views": 4 if kind == "dvse" else 1, "data.table": "tables/made"},
            )  # fmt: skip
    write_search(folder / "dvse-s0", {side: [["off", 0, 90.0], ["cross", 4.0, 95.0]] for side in ("i2t", "t2i")})
    bins = [{"queries": 6, "uncertainty": 0.1 * n, "recall": 90.0 - n} for n in range(10)]
    measured = {"diagnostics/i2t/hubness": 1.5, "diagnostics/margin": 0.1, "calibration": bins}
    change_evaluation(folder / "dvse-s0", "test.json", diagnostics=measured)
    made_sweep(storage)
    return folder
