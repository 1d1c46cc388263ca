"""Which runs and evaluations read features without verifying them (`--no-verify`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def trained_unverified(events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any start of a run, by its journal, read features unverified."""
    return any(event.get("features_verified") is False for event in events if event.get("event") in ("start", "resume"))


def evaluated_unverified(evaluations: Iterable[Mapping[str, Any] | None]) -> bool:
    """Whether any of a row's evaluation files was made of features that were read unverified."""
    return any(evaluation is not None and evaluation.get("features_verified") is False for evaluation in evaluations)
