"""Runs as their folders record them: the journal, and the evaluation files beside it. No tracker is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raytrain.errors import Problem
from raytrain.evaluation.protocols.named_split import split_of
from raytrain.review.accounting import Events, Usage, usages
from raytrain.review.marks.filed import LeftOut, filed_evaluations
from raytrain.review.marks.openings import openings_of_run
from raytrain.review.marks.unverified import trained_unverified
from raytrain.tracking.openings import Openings
from raytrain.tracking.run_record import RunRecord, run_record

NOT_OPENED = Openings(0, 0)
Kind = Literal["plain", "transductive", "inductive"]
"""Whether scores were re-ranked, and if so over the queries themselves or over a bank of training queries."""
KINDS: tuple[Kind, ...] = ("plain", "transductive", "inductive")


@dataclass(frozen=True)
class ReviewedRun:
    """One run, with what a review adds to its journal.

    Attributes:
        record: the run as its journal records it.
        usage: what it took, up to the last epoch, and what was lost.
        evaluations: the evaluation files that count, as `read_evaluations` gives them.
        left_out: those that do not, and why.
        openings: of the test split, as `openings_of_run` gives them.
        unverified: whether it was trained on features that were read unverified.
    """

    record: RunRecord
    usage: Usage
    evaluations: list[dict[str, Any]]
    left_out: Sequence[LeftOut] = ()
    openings: Openings = NOT_OPENED
    unverified: bool = False

    @property
    def folder(self) -> Path:
        return self.record.folder

    @property
    def start(self) -> Mapping[str, Any]:
        """The journal's first "start"."""
        return self.record.start

    @property
    def config(self) -> dict[str, Any]:
        """Flat, by dotted names."""
        return self.record.config

    @property
    def status(self) -> str:
        """As in the journal's "end", or "open" where it has none."""
        return self.record.status or "open"

    @property
    def val(self) -> dict[str, float]:
        """{"i2t/recall_at_1": ..., "rsum": ...} of the best epoch; empty before the first epoch."""
        metrics = self.record.best_metrics.items()
        return {
            name.removeprefix("val/"): float(value)
            for name, value in metrics
            if name.startswith("val/") and value is not None
        }

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return self.record.epochs

    @property
    def name(self) -> str:
        return str(self.start.get("run") or self.folder.name)

    @property
    def seed(self) -> int:
        return int(self.start.get("seed") or 0)

    @property
    def started(self) -> float:
        """Seconds since 1970."""
        return float(self.start.get("time") or 0.0)

    @property
    def val_protocol(self) -> str:
        """The protocol that selects: the whole validation split."""
        return f"split/{self.config.get('data.val_split', 'val')}"

    def evaluation(self, protocol: str, kind: Kind = "plain") -> dict[str, Any] | None:
        """The evaluation file of a protocol; on test where the protocol names no split."""
        split = split_of(protocol) or "test"
        for evaluation in self.evaluations:
            if (evaluation["protocol"], evaluation["split"], _kind(evaluation)) == (protocol, split, kind):
                return evaluation
        return None


def runs_of(journals: Mapping[Path, Events], skipped: list[Problem] | None = None) -> list[ReviewedRun]:
    """Every run (no sweeps) among the journals, as `read_journals` gives them; by folder.

    Args:
        skipped: where a problem is added for each file that is left out; None discards them.
    """
    runs = []
    for folder, usage in sorted(usages(journals).items()):
        record = run_record(folder, journals[folder])
        evaluations, left_out = filed_evaluations(record, journals[folder], skipped)
        openings = openings_of_run(record, journals[folder], evaluations)
        unverified = trained_unverified(journals[folder])
        runs.append(ReviewedRun(record, usage, evaluations, left_out, openings, unverified))
    return runs


def _kind(evaluation: Mapping[str, Any]) -> Kind:
    if evaluation.get("transductive"):
        return "transductive"
    return "inductive" if evaluation.get("rerank") else "plain"
