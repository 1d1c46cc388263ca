"""`raytrain sweep`: a search of hyper-parameters by Ray Tune and Optuna, both imported once it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raytrain.cli.names import complete_recipe, complete_space, run_fields, space_names
from raytrain.cli.options import (
    CPUS_PER_WORKER,
    GPU,
    GPUS_PER_WORKER,
    MAX_FAILURES,
    Address,
    Gpu,
    Overrides,
    Prices,
    Tracking,
    print_runs_page,
    run_of,
    tracking_uri,
    use_gpu,
    worker_resources,
)
from raytrain.cli.verb import BUDGET, CLUSTER, OUTPUT, SEARCH, option, verb
from raytrain.errors import UsageError
from raytrain.sweeps.objectives import COSTS
from raytrain.sweeps.options import Sampler, SweepOptions

if TYPE_CHECKING:
    from raytrain.config import RunConfig

app = typer.Typer()


@verb(
    app,
    "sweep",
    "raytrain sweep dvse --recipe dvse_emoji --trials 24 --workers 2",
    "raytrain sweep image_text --recipe dvse_emoji --trials 55 --each-method 5",
    "raytrain sweep my_space.py --recipe my_recipe.yaml --trials 24",
    "raytrain sweep dvse --resume runs/emoji/SWEEP --trials 48",
    panel="Train",
    names=space_names,
    fields=run_fields,
)
def run_sweep(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            help="search space of a method; image_text, which draws the method too; or a Python file with your own",
            autocompletion=complete_space,
        ),
    ],
    overrides: Overrides = None,
    recipe: Annotated[
        str | None,
        option(
            "--recipe",
            SEARCH,
            "recipe or YAML file of trial 0; not needed where --resume names a folder",
            metavar="RECIPE",
            autocompletion=complete_recipe,
        ),
    ] = None,
    # None, here and below: what the resumed sweep was started with, else the default of SweepOptions
    sampler: Annotated[
        Sampler | None, option("--sampler", SEARCH, "how settings are drawn; default tpe; grid tries every combination")
    ] = None,
    search_seed: Annotated[
        int | None, option("--search-seed", SEARCH, "seed of the search, default 0; that of the runs is seed=...")
    ] = None,
    cost: Annotated[
        str | None,
        option(
            "--cost",
            SEARCH,
            "minimise this cost as well as maximising the selection metric; the result is the Pareto front",
            metavar="|".join(COSTS),
        ),
    ] = None,
    warm_start: Annotated[
        list[str] | None,
        option("--warm-start", SEARCH, "try the best settings of this earlier sweep first", metavar="FOLDER"),
    ] = None,
    each_method: Annotated[
        int | None, option("--each-method", SEARCH, "start with this many trials of each method (image_text)")
    ] = None,
    grace_epochs: Annotated[
        int | None,
        option("--grace-epochs", SEARCH, "epochs before a trial may be stopped early; default a quarter of them"),
    ] = None,
    reduction: Annotated[
        int | None,
        option("--reduction", SEARCH, "ASHA keeps the best 1/N of trials at each rung; default 3", metavar="N"),
    ] = None,
    repeat_best: Annotated[
        int | None,
        option("--repeat-best", SEARCH, "retrain the N best trials with extra seeds, then choose", metavar="N"),
    ] = None,
    repeat_seeds: Annotated[
        int | None, option("--repeat-seeds", SEARCH, "extra seeds per repeated trial; default 2")
    ] = None,
    rerank_trials: Annotated[
        int | None,
        option("--rerank-trials", SEARCH, "re-ranking settings tried on the best run; default 200, 0 tries none"),
    ] = None,
    trials: Annotated[
        int | None, option("--trials", BUDGET, "trials in total, over every resumption; default 24")
    ] = None,
    hours: Annotated[
        float | None, option("--hours", BUDGET, "stop starting trials after this many hours of this call")
    ] = None,
    gpu_hours: Annotated[
        float | None, option("--gpu-hours", BUDGET, "stop starting trials after this many GPU-hours of the sweep")
    ] = None,
    workers: Annotated[int | None, option("--workers", CLUSTER, "Ray Train workers per trial; default 1")] = None,
    concurrent: Annotated[
        int | None,
        option(
            "--concurrent",
            CLUSTER,
            "trials at a time; an autoscaling cluster is asked for this many; default as many as fit",
        ),
    ] = None,
    address: Address = None,
    gpu: Annotated[Gpu | None, GPU] = None,
    cpus_per_worker: Annotated[float | None, CPUS_PER_WORKER] = None,
    gpus_per_worker: Annotated[float | None, GPUS_PER_WORKER] = None,
    max_failures: Annotated[int | None, MAX_FAILURES] = None,
    name: Annotated[
        str | None, option("--name", OUTPUT, "name of the sweep; default made of space, table and time", metavar="NAME")
    ] = None,
    resume: Annotated[
        str | None, option("--resume", OUTPUT, "continue this sweep: its folder, or its name", metavar="SWEEP")
    ] = None,
    tracking: Tracking = None,
    prices: Prices = None,
) -> dict[str, Any]:
    """Search the hyper-parameters of a method around a recipe, with Ray Tune and Optuna."""
    from raytrain.cluster.connect import absolute_in_job, connect, in_submitted_job
    from raytrain.config import flatten
    from raytrain.review.charts.pareto import settings
    from raytrain.review.costs import record_sweep_cost
    from raytrain.review.marks.selection import selected_on
    from raytrain.review.prices import prices_of
    from raytrain.sweeps.spaces import space_of
    from raytrain.sweeps.sweep import sweep

    space, draw = space_of(space)
    base, name, start = _base(space, recipe, overrides, name, resume)
    if in_submitted_job():
        absolute_in_job("storage", base.storage)
    price_table = prices_of(base.storage, prices)  # a wrong table is reported before anything is trained
    given_options: dict[str, Any] = {
        "trials": trials, "workers": workers, "concurrent": concurrent, "hours": hours, "gpu_hours": gpu_hours,
        "seed": search_seed, "sampler": sampler, "cost": cost, "each_method": each_method, "grace_epochs": grace_epochs,
        "reduction": reduction, "rerank_trials": rerank_trials, "repeat_best": repeat_best,
        "repeat_seeds": repeat_seeds, "max_failures": max_failures, "warm_start": tuple(warm_start or ()) or None,
    }  # fmt: skip
    given_options = {option_name: value for option_name, value in given_options.items() if value is not None}
    if gpu is not None:
        given_options["use_gpu"] = use_gpu(gpu)
    if resources := worker_resources(cpus_per_worker, gpus_per_worker):
        given_options["resources_per_worker"] = resources
    options = SweepOptions(**((start.get("options") or {}) | given_options))
    if selection := selected_on(flatten(base), {}):
        print(f"every trial is selected on {selection}; leaderboards list such runs in a table of their own")
    connect(address)
    result = sweep(
        draw,
        base,
        options,
        name=name,
        resume=bool(resume),
        tracking_uri=tracking_uri(tracking, base.storage),
    )
    # a tracker that is away was reported, and waited for, once
    mirror = tracking_uri(tracking, base.storage) if result["mirrored"] else None
    sweep_cost = record_sweep_cost(Path(result["folder"]), price_table, mirror)
    counts = ", ".join(f"{count} {state}" for state, count in result["trials"].items())
    best = result["best"]
    chosen = f"; best {best['run']} {best['value']:.2f}" if best else ""
    print(f"{result['folder']}: {counts}{chosen}{f', selected on {selection}' if selection else ''}")
    for point in result["front"]:
        changed = settings(point["params"], [*point["params"]])
        print(f"  {point['run']}: {point['value']:.2f} at {point['cost']:,.0f} ({changed})")
    print_runs_page(mirror, base.experiment)
    return {**result, "selected_on": selection, "cost": sweep_cost.as_dict(), "exit_code": 0 if best else 1}


def _base(
    space: str, recipe: str | None, overrides: list[str] | None, name: str | None, resume: str | None
) -> tuple[RunConfig, str, Mapping[str, Any]]:
    """The run of trial 0, the sweep's name, and what the journal of a resumed sweep recorded at its start."""
    from raytrain.config import nested, override, parse_overrides, validate
    from raytrain.files import plain_name
    from raytrain.tracking.journal import Journal

    if resume and not recipe:
        folder = Path(resume).expanduser().resolve()
        start = Journal(folder).last("start")
        if start is None:
            raise UsageError(f"{folder} is no sweep; give the sweep's folder, or its name together with --recipe")
        if not start.get("config"):
            raise UsageError(
                f"{folder}: the start in its journal holds no settings; give its name together with --recipe"
            )
        flat = {key: value for key, value in start["config"].items() if not key.startswith("search.")}
        flat["storage"] = str(folder.parent.parent)  # the folder may be mounted elsewhere now
        base = validate(nested(flat) | {"plugins": start.get("plugins", {})})
        return override(base, parse_overrides(base, overrides or [])), folder.name, start
    if not recipe:
        raise UsageError("name the recipe of trial 0: --recipe dvse_emoji")
    base = run_of(recipe, overrides)
    name = resume or name or f"{space}-{plain_name(base.data.table)}-{time.strftime('%m%d-%H%M%S')}"
    resumed = Journal(override(base, {"name": name}).folder).last("start") if resume else None
    return base, name, resumed or {}
