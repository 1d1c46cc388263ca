"""What re-ranking did to the metrics of a split: temperatures are chosen on validation, and may lower test."""

from __future__ import annotations

from collections.abc import Mapping

SHOWN = ("rsum", "recall_at_", "r_precision", "map_at_r", "mean_recall")


def lowered(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """{metric: percent points that it fell by} of the recalls, precisions and rsum that re-ranking lowered."""
    falls = {name: before[name] - after[name] for name in before if name in after}
    return {
        name: fall
        for name, fall in falls.items()
        if fall > 1e-9 and name != "pessimistic_rsum" and any(part in name for part in SHOWN)
    }


def lowered_note(split: str, before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """ "re-ranking lowers test i2t/recall_at_1 by 2.1, rsum by 3.0"; [] where nothing fell."""
    falls = lowered(before, after)
    if not falls:
        return []
    return [f"re-ranking lowers {split} {', '.join(f'{name} by {fall:.1f}' for name, fall in falls.items())}"]
