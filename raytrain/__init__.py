"""Train and search ambiguous cross-modal retrieval methods on a cluster. Importing does nothing else.

The names of `__all__` are the public interface (docs/reference/api.md); each is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from raytrain.api.evaluate import evaluate, rerank
    from raytrain.api.leaderboard import leaderboard
    from raytrain.api.load import load
    from raytrain.api.results import Evaluation, Reranking, StudyRuns, SweepResult, TrainedRun
    from raytrain.api.rows import history, trials
    from raytrain.api.study import StudyPlan, study, study_plan, study_report
    from raytrain.api.sweep import sweep
    from raytrain.api.table import EncodedFeatures, Table
    from raytrain.api.train import recipe, train
    from raytrain.config.run import RunConfig
    from raytrain.errors import (
        DataError,
        DiskFullError,
        Interrupted,
        NonFiniteError,
        OutOfMemory,
        Problem,
        RaytrainError,
        RefusedError,
        TrackingError,
        UsageError,
    )
    from raytrain.progress import ProgressEvent
    from raytrain.retrieval.retriever import Retriever
    from raytrain.review.write import Leaderboard
    from raytrain.studies.report import StudyReport
else:
    _HOMES = {
        "raytrain.api.evaluate": ("evaluate", "rerank"),
        "raytrain.api.leaderboard": ("leaderboard",),
        "raytrain.api.load": ("load",),
        "raytrain.api.results": ("Evaluation", "Reranking", "StudyRuns", "SweepResult", "TrainedRun"),
        "raytrain.api.rows": ("history", "trials"),
        "raytrain.api.study": ("StudyPlan", "study", "study_plan", "study_report"),
        "raytrain.api.sweep": ("sweep",),
        "raytrain.api.table": ("EncodedFeatures", "Table"),
        "raytrain.api.train": ("recipe", "train"),
        "raytrain.config.run": ("RunConfig",),
        "raytrain.errors": (
            "DataError", "DiskFullError", "Interrupted", "NonFiniteError", "OutOfMemory", "Problem", "RaytrainError",
            "RefusedError", "TrackingError", "UsageError",
        ),
        "raytrain.progress": ("ProgressEvent",),
        "raytrain.retrieval.retriever": ("Retriever",),
        "raytrain.review.write": ("Leaderboard",),
        "raytrain.studies.report": ("StudyReport",),
    }  # fmt: skip
    _HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module 'raytrain' has no attribute '{name}'")
        return getattr(importlib.import_module(_HOME_OF[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME_OF})


__all__ = [
    "DataError",
    "DiskFullError",
    "EncodedFeatures",
    "Evaluation",
    "Interrupted",
    "Leaderboard",
    "NonFiniteError",
    "OutOfMemory",
    "Problem",
    "ProgressEvent",
    "RaytrainError",
    "RefusedError",
    "Reranking",
    "Retriever",
    "RunConfig",
    "StudyPlan",
    "StudyReport",
    "StudyRuns",
    "SweepResult",
    "Table",
    "TrackingError",
    "TrainedRun",
    "UsageError",
    "__version__",
    "evaluate",
    "history",
    "leaderboard",
    "load",
    "recipe",
    "rerank",
    "study",
    "study_plan",
    "study_report",
    "sweep",
    "train",
    "trials",
]
