"""The data of a run as MLflow's data set inputs: the table's name, its fingerprint as digest, no copy of the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.config import completed
from raytrain.tracking.run_record import first_start

DIGEST_CHARACTERS = 36
"""The most that MLflow takes of a digest; the profile holds the whole fingerprint."""


class Input(NamedTuple):
    """A split of a table, and what the run used it for.

    Args:
        name: of table and split, "emoji/train". MLflow keeps one input of each name and digest per run.
        context: "training", "validation", "test" or "evaluation".
    """

    name: str
    context: str


def inputs_of(events: Sequence[Mapping[str, Any]]) -> list[Input]:
    """What a run read, in the order in which its journal says so; [] of a journal without a table."""
    config = completed(first_start(events).get("config") or {})
    if not config.get("data.table"):
        return []
    table = Path(str(config["data.table"])).name
    contexts = {str(config["data.train_split"]): "training", str(config["data.val_split"]): "validation"}
    for event in events:
        if event["event"] == "evaluation":
            split = str(event["split"])
            contexts.setdefault(split, "test" if split == "test" else "evaluation")
    return [Input(f"{table}/{split}", context) for split, context in contexts.items()]


def log_inputs(client: Any, run: Any, events: Sequence[Mapping[str, Any]]) -> None:
    """Add the inputs that MLflow does not have of this run yet."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    start = first_start(events)
    fingerprint = start.get("fingerprint")
    if not fingerprint:
        return
    there = {item.dataset.name for item in run.inputs.dataset_inputs} if run.inputs else set()
    source = json.dumps({"uri": str((start.get("config") or {}).get("data.table"))})
    profile = json.dumps({"fingerprint": fingerprint})
    digest = str(fingerprint)[:DIGEST_CHARACTERS]
    missing = [
        DatasetInput(
            Dataset(name=name, digest=digest, source_type="local", source=source, profile=profile),
            tags=[InputTag("mlflow.data.context", context)],
        )
        for name, context in inputs_of(events)
        if name not in there
    ]
    if missing:
        client.log_inputs(run.info.run_id, datasets=missing)
