"""`raytrain promote`: the version of a run becomes the champion of its experiment's model."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from raytrain.distributed import default_device
from raytrain.errors import RefusedError
from raytrain.retrieval.registry.log import CHAMPION, RUN, Registered, log_model
from raytrain.retrieval.runs import finished_run, open_run
from raytrain.tracking.faults import explained
from raytrain.tracking.journal import Journal
from raytrain.tracking.measurements import evaluation_metrics, place_of
from raytrain.tracking.run_record import RunRecord
from raytrain.tracking.store import open_client, prepare_store

MEASURED = "raytrain.validation"
"""Tag of a version: what it was promoted for, {"metric", "value", "fingerprint"}."""


def promote(run: str | os.PathLike[str], uri: str, table: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Make a run's model the champion; it is logged and registered where it is not yet.

    Args:
        uri: of MLflow's store.
        table: folder of the run's table, where it was moved since training.

    Returns:
        {"model", "version", "uri", "metric", "value", "previous": {"version", "run", "metric", "value"} or None,
        "difference": value - that of the previous champion, None where there is none on the same data and protocol}

    Raises:
        RefusedError: the run has not finished, or was not evaluated on validation.
        TrackingError: MLflow cannot be used.
    """
    record = finished_run(run)
    measured = validation_of(record)
    prepare_store(uri)
    logged = log_model(open_run(record.folder, default_device(), table), uri)
    with explained(uri):
        client = open_client(uri)
        before = _champion(client, logged.name)
        client.set_model_version_tag(logged.name, logged.version, MEASURED, json.dumps(measured))
        client.set_registered_model_alias(logged.name, CHAMPION, logged.version)
    return {
        "model": logged.name,
        "version": logged.version,
        "uri": f"models:/{logged.name}@{CHAMPION}",
        **{name: measured[name] for name in ("metric", "value")},
        **_compared(logged, measured, before),
    }


def validation_of(record: RunRecord) -> dict[str, Any]:
    """{"metric", "value", "fingerprint"} of the last evaluation on the validation split, without re-ranking.

    Raises:
        RefusedError: there is none.
    """
    split = str(record.config["data.val_split"])
    for event in reversed(Journal(record.folder).read()):
        plain = event["event"] == "evaluation" and event["split"] == split and event.get("headline")
        if plain and not re.match("rerank/|inductive/", place_of(event)):
            metric = f"{place_of(event)}/{event['headline']}"
            value = evaluation_metrics(event).get(metric)
            if value is not None:
                return {"metric": metric, "value": value, "fingerprint": record.start.get("fingerprint")}
    raise RefusedError(
        f"{record.folder.name} has no evaluation on validation, by which champions are compared; "
        f"`raytrain evaluate {record.folder}` first"
    )


def _champion(client: Any, name: str) -> Any:
    """The version that is champion now; None where none is."""
    aliases = client.get_registered_model(name).aliases
    return client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None


def _compared(logged: Registered, measured: dict[str, Any], before: Any) -> dict[str, Any]:
    if before is None or str(before.version) == logged.version:
        return {"previous": None, "difference": None}
    try:
        earlier = dict(json.loads(before.tags.get(MEASURED, "{}")))
    except ValueError:
        earlier = {}
    same = all(earlier.get(name) == measured[name] for name in ("metric", "fingerprint"))
    value = earlier.get("value")
    comparable = same and isinstance(value, (int, float))
    previous = {"version": str(before.version), "run": before.tags.get(RUN), "metric": earlier.get("metric")}
    return {
        "previous": {**previous, "value": value},
        "difference": measured["value"] - value if comparable else None,
    }
