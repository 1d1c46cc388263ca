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
    use_gpu,
    worker_resources,
)
from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import BUDGET, CLUSTER, DATA, OUTPUT, SEARCH, Verbs, option, verb
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from raytrain.api.study import StudyPlan


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
    from raytrain.api.mirroring import chosen_uri
    from raytrain.api.study import plan_of, study_base, study_named, study_prices, train_study
    from raytrain.progress import heard_by, to_stderr
    from raytrain.sweeps.options import SweepOptions

    study_named(study)
    if recipe is None:
        raise UsageError(f"name the recipe whose variants are compared: raytrain study run {study} --recipe RECIPE")
    base = study_base(study, recipe, overrides, storage, name)
    if dry_run:
        return _print_plan(plan_of(study, base, seeds))
    price_table = study_prices(base, prices)
    options = SweepOptions(
        workers=workers,
        concurrent=trials_at_a_time,
        hours=hours,
        gpu_hours=gpu_hours,
        use_gpu=use_gpu(gpu),
        resources_per_worker=worker_resources(cpus_per_worker, gpus_per_worker),
        max_failures=max_failures,
    )
    _print_plan(plan_of(study, base, seeds))
    with heard_by(to_stderr):
        result = train_study(study, recipe, base, seeds, options, price_table, address, tracking)
    if result.trained:
        print_runs_page(chosen_uri(tracking, base.storage), base.experiment)
    print(
        f"{result.folder}: {result.trained} runs trained, {result.failed} failed, {result.left} left; "
        f"`raytrain study report {study} --storage {base.storage}` compares them"
    )
    return {**result.as_dict(), "exit_code": 1 if result.failed else 0}


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
    from raytrain.api.study import report_in, study_folder
    from raytrain.studies.report_text import claim_texts
    from raytrain.studies.write_report import write_report

    folder = study_folder(study, storage)
    report = report_in(folder)
    written = write_report(report, Path(out).expanduser() if out else folder, png)
    print(report.sentence)
    print_columns([(outcome, sentence, numbers) for sentence, numbers, outcome in claim_texts(report)])
    for path in written:
        print(path)
    return {**report.as_dict(), "files": [str(path) for path in written]}


def _print_plan(plan: StudyPlan) -> dict[str, Any]:
    """Say what a study trains and what the storage has."""
    counts = plan.counts
    print(
        f"{plan.study}: {counts['variants']} variants, {counts['seeds']} seeds: {counts['runs']} runs, of which "
        f"{counts['recorded']} are recorded and {counts['to_train']} are to be trained"
        + (f"; {counts['training']} are being trained by another process" if counts["training"] else "")
    )
    rows = []
    for run in plan.runs:
        where = run["run"] or (f"being trained: {run['training']}" if run["training"] else "to be trained")
        rows.append(("; ".join(dict.fromkeys(run["variants"])), f"seed {run['seed']}", where))
    print_columns(rows)
    return plan.as_dict()
