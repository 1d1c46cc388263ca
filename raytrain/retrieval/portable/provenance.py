"""Where an exported model comes from: its run, its data, what was measured of it; from the journal and the table."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from raytrain.data.table import Table
from raytrain.errors import RaytrainError
from raytrain.retrieval.portable.description import own_name
from raytrain.tracking.journal import Journal
from raytrain.tracking.measurements import place_of
from raytrain.tracking.run_record import RunRecord
from raytrain.training.checkpoint import Checkpoint

MOST_ATTRIBUTIONS = 20
"""Attributions of single images that are listed; a table may have one per image."""


def provenance(record: RunRecord, saved: Checkpoint, table: Table) -> dict[str, Any]:
    """Plain values.

    Returns:
        {"run", "experiment", "uid", "commit", "seed", "device", "checkpoint", "epoch", "epochs",
        "selected": {"metric", "value"}, "data": {"table", "fingerprint", "source", "splits", "missing",
        "attributions", "attributions_of_images"}, "evaluations": the last "evaluation" event of each split and
        protocol, "seeds": {"values", "mean", "std"} where its sweep repeated it}
    """
    start, config = record.start, record.config
    return {
        "run": record.folder.name,
        "experiment": record.folder.parent.name,
        "uid": record.uid,
        "commit": start.get("commit"),
        "seed": config.get("seed"),
        "device": start.get("device"),
        "checkpoint": saved.path.name,
        "epoch": saved.manifest["epoch"],
        "epochs": record.epochs,
        "selected": {"metric": record.select, "value": saved.manifest["selected"]},
        "data": _data(table),
        "evaluations": evaluations(Journal(record.folder).read()),
        "seeds": _seeds(record),
    }


def evaluations(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The last evaluation of each split and protocol, re-ranked ones apart, from the events of a journal."""
    fields = ("split", "protocol", "metrics", "headline", "intervals", "interval_level", "digest", "test_openings")
    last = {
        place_of(event): {name: event[name] for name in fields if event.get(name) is not None}
        for event in events
        if event["event"] == "evaluation" and event.get("metrics")
    }
    return list(last.values())


def _data(table: Table) -> dict[str, Any]:
    source = table.description.source
    attributions = source.get("attributions")
    of_images = [text for text in pc.unique(table.items["attribution"]).to_pylist() if text]
    return {
        "table": own_name(str(table.path)),
        "fingerprint": table.fingerprint,
        "source": str(source.get("name", "")),
        "splits": table.splits,
        "missing": len(table.description.missing),
        "attributions": [str(text) for text in attributions] if isinstance(attributions, list) else [],
        "attributions_of_images": of_images[:MOST_ATTRIBUTIONS],
        "further_attributions_of_images": max(0, len(of_images) - MOST_ATTRIBUTIONS),
    }


def _seeds(record: RunRecord) -> dict[str, Any] | None:
    """What the sweep of a run found when it repeated the run over seeds; None where it did not, or is gone."""
    name = record.folder.name
    with contextlib.suppress(OSError, RaytrainError):
        sweep = record.folder.with_name(re.sub(r"-t\d+(-s\d+)?$", "", name))
        if sweep == record.folder:
            return None
        events = Journal(sweep).read([])
        number = next((event["number"] for event in events if event["event"] == "trial" and event["run"] == name), None)
        for event in events:
            if event["event"] == "repeat" and event.get("number") == number and number is not None:
                return {key: event.get(key) for key in ("values", "mean", "std")}
    return None
