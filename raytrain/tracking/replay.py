"""The lines of a journal as params, metrics, tags and status of MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from raytrain.tracking.measurements import evaluation_metrics, headline, place_of, rerank_metrics
from raytrain.tracking.run_identity import code_of
from raytrain.tracking.run_record import run_record

STATUS = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "interrupted": "KILLED", "killed": "KILLED"}
METRICS_PER_BATCH, PARAMS_PER_BATCH, TAGS_PER_BATCH = 800, 100, 100  # at most 1,000 in all
PARAM_CHARACTERS, TAG_CHARACTERS = 500, 5000  # older servers cut or refuse more


def replay(client: Any, run: Any, events: Sequence[Mapping[str, Any]], seen: int) -> None:
    """Write the lines from number `seen` on: params of the first start, metrics by epoch, tags for the run's end.

    What `evaluate` and `rerank` measure is of the best checkpoint so far, and so of that one's epoch.
    """
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
            params = {allowed_name(name): text(value, PARAM_CHARACTERS) for name, value in config.items()}
            tags |= start_tags(event)
        if event["event"] in ("evaluation", "rerank"):
            step = run_record(Path(), events[:number]).best_epoch or epoch
        if event["event"] == "evaluation":
            values = evaluation_metrics(event)
            if shown := headline(event):
                tags[f"headline.{place_of(event).replace('/', '.')}"] = shown
        if event["event"] == "rerank":
            values = rerank_metrics(event)
            tags |= {
                f"{event.get('kind') or 'rerank'}.{name}": text(value, TAG_CHARACTERS)
                for name, value in (event.get("params") or {}).items()
            }
        metrics += [
            Metric(allowed_name(name), float(value), ms(event), step)
            for name, value in values.items()
            if isinstance(value, (int, float))
        ]
        if event["event"] == "end":
            tags["raytrain.status"] = str(event.get("status"))
            if event.get("error"):
                tags["raytrain.error"] = text(event["error"], TAG_CHARACTERS)
    batches = zip_longest(
        _batches(metrics, METRICS_PER_BATCH),
        _batches([Param(name, value) for name, value in params.items()], PARAMS_PER_BATCH),
        _batches([RunTag(allowed_name(name), value) for name, value in tags.items()], TAGS_PER_BATCH),
        fillvalue=(),
    )
    for some_metrics, some_params, some_tags in batches:
        client.log_batch(run.info.run_id, metrics=some_metrics, params=some_params, tags=some_tags)


def start_tags(start: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a run from its "start" event: MLflow's own for source, commit and user, and ours for the list of runs."""
    verb = "sweep" if start.get("kind") == "sweep" or start.get("parent") else "train"
    tags = {
        "mlflow.source.name": f"raytrain {'ensemble' if start.get('ensemble') else verb}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": start.get("commit"),
        "mlflow.user": start.get("user"),
        "commit": code_of(start),
        "fingerprint": start.get("fingerprint"),
        "method": (start.get("config") or {}).get("method.kind"),
        "seed": start.get("seed"),
        "kind": start.get("kind"),
        "device": start.get("device"),
        "workers": start.get("workers"),
    }
    return {name: text(value, TAG_CHARACTERS) for name, value in tags.items() if value is not None}


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


def allowed_name(name: str) -> str:
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
