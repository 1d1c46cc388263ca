"""`raytrain.study`, `study_plan` and `study_report`: a question with variants, seeds and a verdict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.api.mirroring import tracking_uri
from raytrain.api.outside_errors import public_call
from raytrain.api.results import StudyRuns
from raytrain.api.train import Changes, recipe
from raytrain.errors import UsageError, no_such_name
from raytrain.progress import Listener

if TYPE_CHECKING:
    from raytrain.config import RunConfig
    from raytrain.review.prices import Prices
    from raytrain.studies.plan import Plan
    from raytrain.studies.report import StudyReport
    from raytrain.studies.study import Study
    from raytrain.sweeps.options import SweepOptions


@dataclass(frozen=True)
class StudyPlan:
    """What a study trains, and what its storage has.

    Attributes:
        study: its name.
        counts: {"variants", "seeds", "runs", "recorded", "training", "to_train"}.
        runs: {"variants", "seed", "changes", "run": folder of the finished run, "training": folder of the one that
            another process trains} of each run that it needs.
    """

    study: str
    counts: Mapping[str, int]
    runs: list[dict[str, Any]]

    @classmethod
    def of(cls, study: str, plan: Plan) -> StudyPlan:
        """The plan of a study as plain values."""
        runs = [
            {"variants": [name for name, _ in run.uses], "seed": run.uses[0][1], "changes": dict(run.changes),
             "run": str(run.run.folder) if run.run else None, "training": str(run.training) if run.training else None}
            for run in plan.runs
        ]  # fmt: skip
        return cls(study, plan.counts(), runs)

    def as_dict(self) -> dict[str, Any]:
        """As `raytrain study run --dry-run --json` prints it."""
        return {"study": self.study, "counts": self.counts, "runs": self.runs}


def study_plan(
    study: str,
    run: str,
    changes: Changes | None = None,
    *,
    seeds: int = 3,
    storage: str | None = None,
    name: str | None = None,
) -> StudyPlan:
    """What `study` with the same arguments would train, which are described there.

    Raises:
        UsageError: no such study, recipe or field, or a variant does not fit the recipe.
    """
    return plan_of(study, study_base(study, run, changes, storage, name), seeds)


def study(
    study: str,
    run: str,
    changes: Changes | None = None,
    *,
    seeds: int = 3,
    storage: str | None = None,
    name: str | None = None,
    workers: int = 1,
    trials_at_a_time: int | None = None,
    hours: float | None = None,
    gpu_hours: float | None = None,
    use_gpu: bool | None = None,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    address: str | None = None,
    tracking: str | None = None,
    prices: str | None = None,
    progress: Listener | None = None,
) -> StudyRuns:
    """Train the runs that a study needs and its storage does not have; the same call goes on with a study.

    Args:
        study: its name, such as "dvse/views" (`raytrain study list` lists them).
        run: name of the recipe, or path of a YAML file, whose variants are compared.
        changes: of the run, as in `recipe`.
        seeds: per variant, from the recipe's own on.
        storage: folder that holds experiments; None takes the recipe's.
        name: of the study's folder; None makes one of study and recipe.
        workers: processes of Ray Train per run.
        trials_at_a_time: runs at a time; None takes as many as fit.
        hours: no run starts after this call has run for this long.
        gpu_hours: no run starts after the study has spent this many.
        use_gpu, resources_per_worker, max_failures, address, tracking: as in `train`.
        prices: price table; None takes prices.yaml of the storage, where there is one.
        progress: called with a `ProgressEvent` per start, epoch and end of a run; None is silent.

    Returns:
        counts; `study_report` compares the runs.

    Raises:
        UsageError: no such study, recipe or field, or a variant does not fit the recipe.
        RefusedError: the folder is another study's, or another process runs this one.
    """
    from raytrain.sweeps.options import SweepOptions

    options = SweepOptions(
        workers=workers,
        concurrent=trials_at_a_time,
        hours=hours,
        gpu_hours=gpu_hours,
        use_gpu=use_gpu,
        resources_per_worker=resources_per_worker or {},
        max_failures=max_failures,
    )
    with public_call(progress):
        base = study_base(study, run, changes, storage, name)
        return train_study(study, run, base, seeds, options, study_prices(base, prices), address, tracking)


def study_report(study: str, storage: str | os.PathLike[str] = "runs") -> StudyReport:
    """Compare the finished runs of a study with its baseline, and judge the paper's claims.

    Args:
        study: its name, or that of its folder where several recipes have it.
        storage: folder that holds experiments.

    Raises:
        UsageError: the storage has no such study, or several.
        DataError: the record of the study is damaged.
    """
    return report_in(study_folder(study, storage))


def study_folder(study: str, storage: str | os.PathLike[str]) -> Path:
    """The one folder of a study in a storage; UsageError with the names where there are several."""
    from raytrain.studies.record import study_folders

    folders = study_folders(storage, study)
    if len(folders) > 1:
        named = ", ".join(folder.name for folder in folders)
        raise UsageError(f"several recipes have the study {study}: {named}; give one of these names in its place")
    return folders[0]


def report_in(folder: Path) -> StudyReport:
    """The report of the study in a folder."""
    from raytrain.studies.record import StudyRecord
    from raytrain.studies.report import build_report

    return build_report(study_named(StudyRecord.read(folder).study), folder)


def study_named(name: str) -> Study:
    """The definition of a study.

    Raises:
        UsageError: there is no such study.
    """
    from raytrain.studies import STUDIES

    if name not in STUDIES:
        raise UsageError(STUDIES.why_absent(name) or no_such_name("study", name, sorted(STUDIES)))
    return STUDIES[name]()


def study_base(study: str, run: str, changes: Changes | None, storage: str | None, name: str | None) -> RunConfig:
    """The run whose variants a study compares, named after the study's folder; the arguments are those of `study`."""
    from raytrain.config import override
    from raytrain.studies.record import study_name

    study_named(study)
    folder = {"name": name or study_name(study, run), **({"storage": storage} if storage else {})}
    return override(recipe(run, changes), folder)


def plan_of(study: str, base: RunConfig, seeds: int) -> StudyPlan:
    """The plan of a study from the run that `study_base` made."""
    from raytrain.cluster.connect import placed
    from raytrain.studies.plan import make_plan

    return StudyPlan.of(study, make_plan(study_named(study), placed(base), seeds))


def study_prices(base: RunConfig, prices: str | None) -> Prices | None:
    """The prices of a study, read before anything is trained."""
    from raytrain.cluster.connect import absolute_in_job, in_submitted_job
    from raytrain.review.prices import prices_of

    if in_submitted_job():
        absolute_in_job("storage", base.storage)
    return prices_of(base.storage, prices)


def train_study(
    study: str,
    run: str,
    base: RunConfig,
    seeds: int,
    options: SweepOptions,
    prices: Prices | None,
    address: str | None,
    tracking: str | None,
) -> StudyRuns:
    """Train what a study lacks, and write its cost into its journal; the other arguments are those of `study`.

    Args:
        base: as `study_base` made it.
        options: of the sweep that its runs are.
        prices: as `study_prices` read them.
    """
    from raytrain.review.costs import record_sweep_cost
    from raytrain.studies.train import run_study

    uri = tracking_uri(tracking, base.storage)
    result = run_study(study_named(study), study, run, base, seeds, options, uri, address)
    if result["trained"]:
        record_sweep_cost(Path(result["folder"]), prices, uri)
    return StudyRuns.of({**result, "study": study})
