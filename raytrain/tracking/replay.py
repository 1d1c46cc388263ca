"""The lines of a journal as params, metrics, tags and status of MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

STATUS = {"finished": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "killed": "KILLED"}
METRICS_PER_BATCH, PARAMS_PER_BATCH, TAGS_PER_BATCH = 1000, 100, 100
PARAM_CHARACTERS, TAG_CHARACTERS = 500, 5000  # older servers cut or refuse more


def replay(client: Any, run: Any, events: Sequence[Mapping[str, Any]], seen: int) -> None:
    """Write the lines from number `seen` on: params of the first start, metrics by epoch, tags for the run's end."""
    from mlflow.entities import Metric, Param, RunTag

    metrics: list[Any] = []
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    epoch, best, started = 0, -float("inf"), False
    for number, event in enumerate(events):
        values: Mapping[str, Any] = event.get("metrics") or {}
        epoch = step = int(event.get("epoch") or epoch)
        if event["event"] == "trial":
            step, value = int(event.get("number") or 0), event.get("value")
            best = max(best, value) if value is not None else best
            values = {"trial/value": value, "sweep/best": best if best > -float("inf") else None}
        first = event["event"] == "start" and not started
        started = started or first
        if number < seen:
            continue
        if first:  # params cannot change, and a run that was started again has the same
            config: Mapping[str, Any] = event.get("config") or {}
            params = {_name(name): text(value, PARAM_CHARACTERS) for name, value in config.items()}
        metrics += [
            Metric(_name(name), float(value), ms(event), step)
            for name, value in values.items()
            if isinstance(value, (int, float))
        ]
        if event["event"] == "rerank":
            tags |= {
                f"{event.get('kind') or 'rerank'}.{name}": text(value, TAG_CHARACTERS)
                for name, value in (event.get("params") or {}).items()
            }
        if event["event"] == "end":
            tags["raytrain.status"] = str(event.get("status"))
            if event.get("error"):
                tags["raytrain.error"] = text(event["error"], TAG_CHARACTERS)
    for part in _batches([Param(name, value) for name, value in params.items()], PARAMS_PER_BATCH):
        client.log_batch(run.info.run_id, params=part)
    for part in _batches(metrics, METRICS_PER_BATCH):
        client.log_batch(run.info.run_id, metrics=part)
    for part in _batches([RunTag(_name(name), value) for name, value in tags.items()], TAGS_PER_BATCH):
        client.log_batch(run.info.run_id, tags=part)


def set_status(client: Any, run: Any, end: Mapping[str, Any] | None) -> str:
    """Set the status that MLflow shows, and return it.

    Args:
        end: the "end" event of the run; None of one that goes on.
    """
    if end is None:
        if run.info.status != "RUNNING":
            client.update_run(run.info.run_id, status="RUNNING")
        return "RUNNING"
    status = STATUS.get(str(end.get("status")), "FAILED")
    client.set_terminated(run.info.run_id, status, end_time=ms(end))
    return status


def _name(name: str) -> str:
    """MLflow allows letters, digits and `_-./ :`."""
    return re.sub(r"[^A-Za-z0-9_\-./ :]", "_", name.replace("@", "_at_"))


def text(value: Any, most: int) -> str:
    """A value as text of at most `most` characters; a longer one ends in three dots."""
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= most else whole[: most - 3] + "..."


def ms(event: Mapping[str, Any]) -> int:
    """The time of an event in milliseconds since 1970."""
    return round(float(event["time"]) * 1000)


def _batches(values: list[Any], size: int) -> Iterator[list[Any]]:
    return (values[first : first + size] for first in range(0, len(values), size))
