"""Journals to mirror, and what MLflow shows of them."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raytrain.tracking.journal import Journal
from raytrain.tracking.mlflow import PARENT

CONFIG = {
    "method.kind": "dvse",
    "data.table": "/data/emoji",
    "optim.lr": 5e-4,
    "data.text_features": None,
    "long": "x" * 9000,
}


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
        user="ada",
        fingerprint="f" * 64,
        seed=7,
    )
    return journal


def epoch(journal: Journal, number: int, rsum: float) -> None:
    journal.write("epoch", epoch=number, step=number * 10, metrics={"val/rsum": rsum, "train/loss": None})


def state(uri: str, run: Any) -> dict[str, Any]:
    """All that MLflow has of a run, without what differs between two stores."""
    ids = {"best.run_id", PARENT}
    numbers = re.compile(r"runs/\w+|experiments/\d+")
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": {name: numbers.sub("", value) for name, value in run.data.tags.items() if name not in ids},
        "metrics": {name: history(uri, run, name) for name in run.data.metrics},
        "inputs": sorted((item.dataset.name, item.dataset.digest) for item in run.inputs.dataset_inputs),
        "artifacts": artifacts(run),
    }


def artifacts(run: Any) -> dict[str, bytes]:
    """{path: content} of a run's artifacts, which lie in files."""
    place = Path(urllib.request.url2pathname(urlsplit(run.info.artifact_uri).path))
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def history(uri: str, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client(uri).get_metric_history(run.info.run_id, metric)]
