"""`raytrain sweep`: a search of hyper-parameters by Ray Tune and Optuna, both imported once it runs."""

from __future__ import annotations

from typing import Annotated, Any

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
    use_gpu,
    worker_resources,
)
from raytrain.cli.verb import BUDGET, CLUSTER, OUTPUT, SEARCH, option, verb
from raytrain.sweeps.objectives import COSTS
from raytrain.sweeps.options import Sampler

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
    from raytrain.api.mirroring import chosen_uri
    from raytrain.api.sweep import prepare_sweep, run_sweep
    from raytrain.progress import heard_by, to_stderr
    from raytrain.review.charts.pareto import settings

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
    prepared = prepare_sweep(space, recipe, overrides, name, resume, given_options, prices)
    if selection := prepared.selection:
        print(f"every trial is selected on {selection}; leaderboards list such runs in a table of their own")
    with heard_by(to_stderr):
        result = run_sweep(prepared, address, tracking)
    counts = ", ".join(f"{count} {state}" for state, count in result.trials.items())
    best = result.best
    chosen = f"; best {best['run']} {best['value']:.2f}" if best else ""
    print(f"{result.folder}: {counts}{chosen}{f', selected on {selection}' if selection else ''}")
    for point in result.front:
        changed = settings(point["params"], [*point["params"]])
        print(f"  {point['run']}: {point['value']:.2f} at {point['cost']:,.0f} ({changed})")
    base = prepared.base
    print_runs_page(chosen_uri(tracking, base.storage) if result.mirrored else None, base.experiment)
    return {**result.as_dict(), "exit_code": 0 if best else 1}
