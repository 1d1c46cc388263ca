"""Journals to mirror, and what MLflow shows of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytrain.tracking.journal import Journal

CONFIG = {"method.kind": "dvse", "optim.lr": 5e-4, "data.text_features": None, "long": "x" * 9000}


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs_of(uri: str, experiment: str) -> list[Any]:
    result = client(uri).get_experiment_by_name(experiment)
    return list(client(uri).search_runs([result.experiment_id], order_by=["attributes.start_time"])) if result else []


def start(folder: Path, parent: str | None = None, kind: str = "run", **more: Any) -> Journal:
    journal = Journal(folder)
    journal.write(
        "start",
        uid=f"uid-{folder.parent.name}-{folder.name}",
        kind=kind,
        run=folder.name,
        experiment=folder.parent.name,
        parent=parent,
        config=CONFIG | more,
        commit="abc123",
        fingerprint="f" * 64,
        seed=7,
    )
    return journal


def epoch(journal: Journal, number: int, rsum: float) -> None:
    journal.write("epoch", epoch=number, step=number * 10, metrics={"val/rsum": rsum, "train/loss": None})


def history(uri: str, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client(uri).get_metric_history(run.info.run_id, metric)]
