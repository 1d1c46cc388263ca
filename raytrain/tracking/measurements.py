"""What `evaluate` and `rerank` measured, by the names that MLflow has for it.

A metric of an evaluation names its split, protocol and direction, test/coco-5k/i2t/recall_at_1: two protocols on one
split are two charts, and an evaluation on validation adds no point to the training curve val/rsum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def evaluation_metrics(event: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics of an "evaluation" event, ends of their intervals, and the number of times that test was opened.

    {"test/coco-5k/i2t/recall_at_1": ..., "test/coco-5k/interval/i2t/recall_at_1_low": ..., ..., "test/openings": ...};
    re-ranked ones begin with "rerank/" or "inductive/", as in the journal.
    """
    split, place = str(event["split"]), place_of(event)
    values: dict[str, float | None] = {}
    for name, value in (event.get("metrics") or {}).items():
        values[re.sub(rf"^(?:rerank/|inductive/)?{re.escape(split)}/", f"{place}/", name, count=1)] = value
    for name, (low, high) in (event.get("intervals") or {}).items():
        values |= {f"{place}/interval/{name}_low": low, f"{place}/interval/{name}_high": high}
    if split == "test":
        values["test/openings"] = event.get("test_openings")
    return values


def rerank_metrics(event: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics of a "rerank" event, and what its choice gains on queries that it has not seen."""
    values: dict[str, float | None] = dict(event.get("metrics") or {})
    kind_and_split = "/".join(next(iter(values), "rerank/val/").split("/")[:2])
    for name, gained in (event.get("held_out") or {}).items():
        values[f"{kind_and_split}/held_out/{name}_gain"] = gained.get("gain")
        values[f"{kind_and_split}/held_out/{name}_standard_error"] = gained.get("standard_error")
    return values


def place_of(event: Mapping[str, Any]) -> str:
    """Where the metrics of an "evaluation" event stand: "test/split", "test/coco-5k", "rerank/test/split"."""
    split = str(event["split"])
    parts = str(event.get("protocol") or f"split/{split}").split("/")
    protocol = "-".join(parts[:-1] if parts[-1] == split else parts)
    reranked = next((re.match(r"(?:rerank|inductive)/", name) for name in event.get("metrics") or ()), None)
    return f"{reranked[0] if reranked else ''}{split}/{protocol}"


def headline(event: Mapping[str, Any]) -> str | None:
    """The number that stands for an evaluation: "rsum 312.40 (95 % 305.10 to 319.80)"; None where it has none."""
    name = event.get("headline")
    values = evaluation_metrics(event)
    value = values.get(f"{place_of(event)}/{name}")
    if name is None or value is None:
        return None
    low, high = (event.get("intervals") or {}).get(name, (None, None))
    if low is None or high is None:
        return f"{name} {value:.2f}"
    return f"{name} {value:.2f} ({100 * (event.get('interval_level') or 0.95):.0f} % {low:.2f} to {high:.2f})"
