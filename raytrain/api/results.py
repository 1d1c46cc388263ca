"""What the functions of `raytrain` return; `as_dict` of each is what the verb's `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Result:
    """A result that is made of a dictionary, and becomes one again."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The result that `values` describes; names that it has no field for are dropped."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})

    def as_dict(self) -> dict[str, Any]:
        """{name: value} of its fields, without those that were not asked for."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None or name not in self.optional()}

    @classmethod
    def optional(cls) -> tuple[str, ...]:
        """Fields that are left out of `as_dict` where they are None."""
        return ()


@dataclass(frozen=True)
class TrainedRun(Result):
    """A run that `train` has trained.

    Attributes:
        run: its folder.
        val: {name: value} of the validation metrics of its best epoch, such as "val/rsum".
        best: value of the selection metric at that epoch; None where no epoch has a finite one.
        selected_on: in words, where epochs were not chosen on validation alone; "" otherwise.
        epochs: that were trained.
        seconds: that this call took.
    """

    run: str
    val: Mapping[str, float]
    best: float | None
    selected_on: str
    epochs: int
    seconds: float

    @property
    def folder(self) -> Path:
        """The run's folder as a path."""
        return Path(self.run)


@dataclass(frozen=True)
class SweepResult(Result):
    """A sweep that `sweep` has run.

    Attributes:
        sweep: its name.
        folder: of its journal; the runs of its trials lie beside it.
        uid: identifies it in journals and in MLflow.
        status: "finished", or "failed" where every trial failed.
        trials: {state: number of trials}.
        best: {"run", "params", "value", "val"} of the best trial; None where every trial failed.
        front: {"run", "params", "value", "cost"} of each trial of the Pareto front, where a cost was minimised too.
        gpu_seconds: over all trials.
        worker_seconds: over all workers of all trials.
        repeats: means and values of the trials that were trained again with other seeds.
        rerank: as `Reranking.as_dict`, of the best run; None where re-ranking was not searched.
        mirrored: whether MLflow has all of it.
        model: models:/NAME/VERSION of the best run in MLflow; None where MLflow has not taken it.
        selected_on: as in `TrainedRun`.
        cost: seconds, shares busy and lost, money.
    """

    sweep: str
    folder: str
    uid: str
    status: str
    trials: Mapping[str, int]
    best: Mapping[str, Any] | None
    front: Sequence[Mapping[str, Any]]
    gpu_seconds: float
    worker_seconds: float
    repeats: Sequence[Mapping[str, Any]]
    rerank: Mapping[str, Any] | None
    mirrored: bool
    model: str | None
    selected_on: str
    cost: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation(Result):
    """A run's best checkpoint on a split, by a protocol.

    Attributes:
        run: folder of the run.
        split: that was evaluated.
        protocol: such as "split/val" or "coco/5k".
        headline: name of the metric that stands for the others.
        queries: {direction: number}.
        gallery: {direction: number}.
        notes: what a reader of the numbers has to know, a sentence each.
        chance: {recall: percent that a random order reaches}, where that is much.
        lowered: {"rerank" or "inductive": {metric: points that re-ranking lost}}.
        fingerprint: of the table.
        files: that record the results.
        test_openings: of these test rows with these weights or by this run; 0 on other splits.
        test_openings_in_all: of these test rows by any weights.
        features_verified: whether the features were compared with their sha256.
        rerank: {metric: value} with Fast Re-ranking over the queries; None where its temperatures were not searched.
        inductive: {metric: value} with Fast Re-ranking over a bank of training queries; None likewise.
        diagnostics: {name: value} of embeddings and scores; None where they were not asked for.
        metrics: {name: value} without re-ranking, in percent for recalls.
        sheets: JSON files of the contact sheet; None where none was asked for.
        sheet_page: HTML page of the contact sheet; None likewise.
    """

    run: str
    split: str
    protocol: str
    headline: str
    queries: Mapping[str, int]
    gallery: Mapping[str, int]
    notes: Sequence[str]
    chance: Mapping[str, float]
    lowered: Mapping[str, Mapping[str, float]]
    fingerprint: str
    files: Sequence[str]
    test_openings: int
    test_openings_in_all: int
    features_verified: bool
    rerank: Mapping[str, float] | None
    inductive: Mapping[str, float] | None
    diagnostics: Mapping[str, Any] | None
    metrics: Mapping[str, float]
    sheets: Sequence[str] | None = None
    sheet_page: str | None = None

    @classmethod
    def optional(cls) -> tuple[str, ...]:
        return ("sheets", "sheet_page")


@dataclass(frozen=True)
class Reranking(Result):
    """The re-ranking that was chosen for a run on validation.

    Attributes:
        params: mode and temperatures; {"mode": "off", ...} where too little is gained.
        before: rsum on validation without re-ranking.
        after: rsum with it.
        settings_tried: in both directions.
        seconds: of the search.
        held_out: {"i2t", "t2i", "rsum": what the choice gains on queries that it has not seen}.
        lowered: {metric: points that it lost}.
    """

    params: Mapping[str, Any]
    before: float
    after: float
    settings_tried: int
    seconds: float
    held_out: Mapping[str, Mapping[str, Any]]
    lowered: Mapping[str, float]


@dataclass(frozen=True)
class StudyRuns(Result):
    """What a call of `study` has trained.

    Attributes:
        folder: of the study.
        counts: {"variants", "seeds", "runs", "recorded", "training", "to_train"} before this call.
        trained: runs that this call trained to their end.
        failed: runs that cannot be trained.
        left: runs that a budget left out, or that another process is training.
        study: its name.
    """

    folder: str
    counts: Mapping[str, int]
    trained: int
    failed: int
    left: int
    study: str
