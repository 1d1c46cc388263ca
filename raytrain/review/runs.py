"""Runs as their folders tell them: the journal, and the evaluation files beside it. No tracker is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raytrain.config import completed
from raytrain.evaluation.report import read_evaluations
from raytrain.review.accounting import Usage, read_journals, usages
from raytrain.tracking.replay import ending

Kind = Literal["plain", "transductive", "inductive"]
"""Whether scores were re-ranked, and if so over the queries themselves or over a bank of training queries."""
KINDS: tuple[Kind, ...] = ("plain", "transductive", "inductive")


@dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        folder: of the run.
        start: the journal's first "start".
        config: flat, by dotted names.
        status: "finished", "pruned", "failed", "interrupted", "killed", or "open" where the journal has no end.
        val: {"i2t/recall_at_1": ..., "rsum": ...} of the epoch that the config selects; empty before the first epoch.
        step: at which that epoch ended, which names its checkpoint.
        usage: what it took, up to the last epoch, and what was lost.
        epochs: done.
        evaluations: the evaluation files, as `read_evaluations` gives them.
    """

    folder: Path
    start: dict[str, Any]
    config: dict[str, Any]
    status: str
    val: dict[str, float]
    step: int | None
    usage: Usage
    epochs: int
    evaluations: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return str(self.start.get("run") or self.folder.name)

    @property
    def seed(self) -> int:
        return int(self.start.get("seed") or 0)

    @property
    def started(self) -> float:
        return float(self.start.get("time") or 0.0)

    @property
    def val_protocol(self) -> str:
        """The protocol that selects: the whole validation split."""
        return f"split/{self.config.get('data.val_split', 'val')}"

    def evaluation(self, protocol: str, kind: Kind = "plain") -> dict[str, Any] | None:
        """The evaluation file of a protocol, of this run's best checkpoint on its own data."""
        for one in self.evaluations:
            if (
                one.get("protocol") == protocol
                and _kind(one) == kind
                and one.get("fingerprint") == self.start.get("fingerprint")
                and _step(one.get("checkpoint")) == self.step
            ):
                return one
        return None


def read_runs(storage: str | os.PathLike[str], experiment: str | None = None) -> list[RunRecord]:
    """Every run (no sweeps) under `<storage>/<experiment>/`; of all experiments where None is asked for."""
    journals = read_journals(Path(storage), experiment)
    return [_run(folder, journals[folder], used) for folder, used in sorted(usages(journals).items())]


def _run(folder: Path, events: Sequence[dict[str, Any]], used: Usage) -> RunRecord:
    start = next(event for event in events if event["event"] == "start")
    config = completed(start.get("config") or {})
    lines = {int(event["epoch"]): event for event in events if event["event"] == "epoch"}
    epochs = {epoch: line.get("metrics") or {} for epoch, line in sorted(lines.items())}
    select = config.get("evaluation.select", "val/rsum")
    scored = [epoch for epoch, metrics in epochs.items() if isinstance(metrics.get(select), (int, float))]
    chosen = max(scored, key=lambda epoch: float(epochs[epoch][select]), default=None)
    best = epochs[chosen] if chosen is not None else {}
    end = ending(events)
    return RunRecord(
        folder,
        start,
        config,
        str(end["status"]) if end else "open",
        {name.removeprefix("val/"): float(v) for name, v in best.items() if name.startswith("val/") and v is not None},
        lines[chosen].get("step") if chosen is not None else None,
        used,
        max(epochs, default=0),
        read_evaluations(folder),
    )


def _kind(evaluation: Mapping[str, Any]) -> Kind:
    if evaluation.get("transductive"):
        return "transductive"
    return "inductive" if evaluation.get("rerank") else "plain"


def _step(checkpoint: object) -> int | None:
    """checkpoint_00000936 -> 936"""
    digits = re.search(r"\d+$", str(checkpoint))
    return int(digits[0]) if digits else None
