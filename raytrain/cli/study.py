"""The verbs of studies: list, plan, run and report. Ray is imported once something is to be trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raytrain.cli.names import complete_recipe, complete_study, first_sentence, run_fields, study_names
from raytrain.cli.options import (
    CPUS_PER_WORKER,
    GPU,
    GPUS_PER_WORKER,
    MAX_FAILURES,
    Address,
    Gpu,
    Overrides,
    Prices,
    Storage,
    Tracking,
    print_runs_page,
    run_of,
    tracking_uri,
    use_gpu,
    worker_resources,
)
from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import BUDGET, CLUSTER, DATA, OUTPUT, SEARCH, Verbs, option, verb
from raytrain.errors import UsageError, no_such_name

if TYPE_CHECKING:
    from raytrain.config import RunConfig
    from raytrain.studies.study import Study


class StudyVerbs(Verbs):
    """`raytrain study dvse/views ...` is `raytrain study run dvse/views ...`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            from raytrain.studies import STUDIES

            if args[0] in STUDIES:
                args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=StudyVerbs, no_args_is_help=True, help="Answer a question with variants, seeds and a verdict.")

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="name of a study, such as dvse/views", autocompletion=complete_study)
]
Seeds = Annotated[int, option("--seeds", SEARCH, "seeds per variant, from the recipe's own on", min=1)]
Recipe = Annotated[
    str | None,
    option("--recipe", SEARCH, "recipe or YAML file of all variants", metavar="RECIPE", autocompletion=complete_recipe),
]
Name = Annotated[
    str | None, option("--name", OUTPUT, "folder of the study; default made of study and recipe", metavar="NAME")
]


@verb(app, "list", "raytrain study list")
def run_list() -> dict[str, Any]:
    """List the studies, and what each of them asks."""
    from raytrain.studies import STUDIES

    studies = {name: STUDIES[name]() for name in sorted(STUDIES)}
    print_columns([(name, first_sentence(study.question)) for name, study in studies.items()])
    return {
        "studies": [
            {"name": name, "question": study.question, "paper": study.paper, "methods": list(study.methods),
             "claims": [claim.sentence for claim in study.claims]}
            for name, study in studies.items()
        ]
    }  # fmt: skip


@verb(
    app,
    "run",
    "raytrain study run dvse/views --recipe dvse_emoji --seeds 3",
    "raytrain study run rau/components --recipe rau_emoji --seeds 3 --dry-run",
    "raytrain study run dvse/batch --recipe dvse_emoji --trials-at-a-time 2",
    names=study_names,
    fields=run_fields,
)
def run_run(
    study: StudyName,
    overrides: Overrides = None,
    recipe: Recipe = None,
    seeds: Seeds = 3,
    dry_run: Annotated[
        bool, option("--dry-run", OUTPUT, "say what would be trained, and what the storage has, and train nothing")
    ] = False,
    hours: Annotated[
        float | None, option("--hours", BUDGET, "stop starting runs after this many hours of this call")
    ] = None,
    gpu_hours: Annotated[
        float | None, option("--gpu-hours", BUDGET, "stop starting runs after this many GPU-hours of the study")
    ] = None,
    trials_at_a_time: Annotated[
        int | None,
        option(
            "--trials-at-a-time",
            CLUSTER,
            "runs at a time; an autoscaling cluster is asked for this many; default as many as fit",
            min=1,
        ),
    ] = None,
    workers: Annotated[int, option("--workers", CLUSTER, "Ray Train workers per run", min=1)] = 1,
    address: Address = None,
    gpu: Annotated[Gpu, GPU] = "auto",
    cpus_per_worker: Annotated[float | None, CPUS_PER_WORKER] = None,
    gpus_per_worker: Annotated[float | None, GPUS_PER_WORKER] = None,
    max_failures: Annotated[int, MAX_FAILURES] = 3,
    storage: Annotated[
        str | None, option("--storage", DATA, "folder that holds experiments; default the recipe's", metavar="FOLDER")
    ] = None,
    name: Name = None,
    tracking: Tracking = None,
    prices: Prices = None,
) -> dict[str, Any]:
    """Train the runs that a study needs and the storage does not have; the same command goes on with a study."""
    from raytrain.cluster.connect import absolute_in_job, in_submitted_job, placed
    from raytrain.review.costs import record_sweep_cost
    from raytrain.review.prices import prices_of
    from raytrain.studies.record import study_name
    from raytrain.sweeps.options import SweepOptions

    definition = study_named(study)
    if recipe is None:
        raise UsageError(f"name the recipe whose variants are compared: raytrain study run {study} --recipe RECIPE")
    base = _base(recipe, overrides, storage, name or study_name(study, recipe))
    if dry_run:
        return _print_plan(study, definition, placed(base), seeds)
    from raytrain.studies.train import run_study

    if in_submitted_job():
        absolute_in_job("storage", base.storage)
    price_table = prices_of(base.storage, prices)  # a wrong table is reported before anything is trained
    options = SweepOptions(
        workers=workers,
        concurrent=trials_at_a_time,
        hours=hours,
        gpu_hours=gpu_hours,
        use_gpu=use_gpu(gpu),
        resources_per_worker=worker_resources(cpus_per_worker, gpus_per_worker),
        max_failures=max_failures,
    )
    _print_plan(study, definition, placed(base), seeds)
    uri = tracking_uri(tracking, base.storage)
    result = run_study(definition, study, recipe, base, seeds, options, uri, address)
    if result["trained"]:
        record_sweep_cost(Path(result["folder"]), price_table, uri)
        print_runs_page(uri, base.experiment)
    print(
        f"{result['folder']}: {result['trained']} runs trained, {result['failed']} failed, {result['left']} left; "
        f"`raytrain study report {study} --storage {base.storage}` compares them"
    )
    return {**result, "study": study, "exit_code": 1 if result["failed"] else 0}


@verb(
    app,
    "report",
    "raytrain study report dvse/views",
    "raytrain study report dvse/views --out docs/studies/views --png",
    names=study_names,
)
def run_report(
    study: StudyName,
    storage: Storage = "runs",
    out: Annotated[
        str | None,
        option("--out", OUTPUT, "folder for report.md and report.html; default the study's", metavar="FOLDER"),
    ] = None,
    png: Annotated[
        bool, option("--png", OUTPUT, "write the plots as report.png too, and show it in report.md")
    ] = False,
) -> dict[str, Any]:
    """Compare the runs of a study with its baseline, and judge the paper's claims: Markdown and a page."""
    from raytrain.studies.record import StudyRecord, study_folders
    from raytrain.studies.report import build_report
    from raytrain.studies.report_text import claim_texts
    from raytrain.studies.write_report import write_report

    folders = study_folders(storage, study)
    if len(folders) > 1:
        named = ", ".join(folder.name for folder in folders)
        raise UsageError(f"several recipes have the study {study}: {named}; give one of these names in its place")
    (folder,) = folders
    report = build_report(study_named(StudyRecord.read(folder).study), folder)
    written = write_report(report, Path(out).expanduser() if out else folder, png)
    print(report.sentence)
    print_columns([(outcome, sentence, numbers) for sentence, numbers, outcome in claim_texts(report)])
    for path in written:
        print(path)
    return {**report.as_dict(), "files": [str(path) for path in written]}


def study_named(name: str) -> Study:
    """The definition of a study.

    Raises:
        UsageError: there is no such study.
    """
    from raytrain.studies import STUDIES

    if name not in STUDIES:
        raise UsageError(STUDIES.why_absent(name) or no_such_name("study", name, sorted(STUDIES)))
    return STUDIES[name]()


def _base(recipe: str, overrides: list[str] | None, storage: str | None, name: str) -> RunConfig:
    from raytrain.config import override

    base = run_of(recipe, overrides)
    return override(base, {"name": name, **({"storage": storage} if storage else {})})


def _print_plan(study: str, definition: Study, base: RunConfig, seeds: int) -> dict[str, Any]:
    """Say what a study trains and what the storage has."""
    from raytrain.studies.plan import make_plan

    plan = make_plan(definition, base, seeds)
    counts = plan.counts()
    print(
        f"{study}: {counts['variants']} variants, {counts['seeds']} seeds: {counts['runs']} runs, of which "
        f"{counts['recorded']} are recorded and {counts['to_train']} are to be trained"
        + (f"; {counts['training']} are being trained by another process" if counts["training"] else "")
    )
    rows = []
    for run in plan.runs:
        where = (
            str(run.run.folder) if run.run else f"being trained: {run.training}" if run.training else "to be trained"
        )
        names = "; ".join(dict.fromkeys(name for name, _ in run.uses))
        rows.append((names, f"seed {run.uses[0][1]}", where))
    print_columns(rows)
    return {
        "study": study,
        "counts": counts,
        "runs": [
            {"variants": [name for name, _ in run.uses], "seed": run.uses[0][1], "changes": dict(run.changes),
             "run": str(run.run.folder) if run.run else None, "training": str(run.training) if run.training else None}
            for run in plan.runs
        ],
    }  # fmt: skip
