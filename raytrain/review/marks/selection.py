"""What a run was selected on: another split than "val", or one that it also trained on, is told beside its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def selected_on(config: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """ "" for the split "val", if nothing of it was trained on; else in words what chose the best epoch.

    Args:
        config: of the run, flat.
        start: the first "start" of its journal.
    """
    val, train = str(config.get("data.val_split", "val")), config.get("data.train_split", "train")
    if val == train:
        return f"split '{val}', which it trains on"
    validation = start.get("validation")
    trained = validation.get("trained") if isinstance(validation, Mapping) else None
    if trained:
        return f"split '{val}', of which it trains on {trained}"
    return "" if val == "val" else f"split '{val}'"


def is_trained_on(selection: str) -> bool:
    """Whether `selected_on` says that the run was selected on what it trains on."""
    return "trains on" in selection
