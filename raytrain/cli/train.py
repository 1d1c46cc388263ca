"""`raytrain train`: one run, in this process or on a cluster. Ray is imported only where it trains there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from raytrain.cli.names import recipe_names, run_fields
from raytrain.cli.options import (
    CPUS_PER_WORKER,
    GPU,
    GPUS_PER_WORKER,
    MAX_FAILURES,
    Address,
    Gpu,
    NoVerify,
    Overrides,
    Recipe,
    Tracking,
    print_runs_page,
    run_of,
    use_gpu,
    worker_resources,
)
from raytrain.cli.verb import CLUSTER, option, verb
from raytrain.errors import UsageError

app = typer.Typer()
START = "Start"


@verb(
    app,
    "train",
    "raytrain train dvse_emoji optim.lr=5e-4",
    "raytrain train dvse_emoji --workers 2 optim.num_epochs=4 name=first",
    "raytrain train dvse_emoji --from runs/emoji/first data.table=tables/other",
    "raytrain train dive_coco --dry-run",
    panel="Train",
    names=recipe_names,
    fields=run_fields,
)
def run_train(
    recipe: Recipe,
    overrides: Overrides = None,
    workers: Annotated[int, option("--workers", CLUSTER, "Ray Train workers; 0 trains in this process")] = 0,
    start_from: Annotated[
        str | None,
        option(
            "--from",
            START,
            "start with the weights of this checkpoint, or of this run's best one; optimizer and epochs are new",
            metavar="CHECKPOINT",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        option(
            "--dry-run",
            "Dry run",
            "build the model and take two steps on made-up features, in this process; print size, memory and seconds",
        ),
    ] = False,
    assume: Annotated[
        list[str] | None,
        option(
            "--assume",
            "Dry run",
            "a size for --dry-run that only a table knows: regions=36, region_features=2048, tokens=20, "
            "token_features=384, words=10000, captions=5 (per image)",
            metavar="SIZE=N",
        ),
    ] = None,
    address: Address = None,
    gpu: Annotated[Gpu, GPU] = "auto",
    cpus_per_worker: Annotated[float, CPUS_PER_WORKER] = 1.0,
    gpus_per_worker: Annotated[float, GPUS_PER_WORKER] = 1.0,
    max_failures: Annotated[int, MAX_FAILURES] = 3,
    no_verify: NoVerify = False,
    tracking: Tracking = None,
) -> dict[str, Any]:
    """Train one run of a recipe, with --workers on a Ray cluster."""
    from raytrain.api.mirroring import chosen_uri
    from raytrain.api.train import is_first_rank, run_to_train, train_config
    from raytrain.config import flatten
    from raytrain.progress import heard_by, to_stderr
    from raytrain.review.marks.selection import selected_on

    if dry_run:
        return _dry_run(recipe, overrides, assume or [], workers)
    if assume:
        raise UsageError("--assume goes with --dry-run; training reads its sizes from the table")
    config = run_to_train(recipe, overrides, start_from, not no_verify)
    if is_first_rank() and (selection := selected_on(flatten(config), {})):
        print(f"selected on {selection}; leaderboards list such runs in a table of their own")
    cluster = {
        "use_gpu": use_gpu(gpu),
        "resources_per_worker": worker_resources(cpus_per_worker, gpus_per_worker),
        "max_failures": max_failures,
    }
    with heard_by(to_stderr):
        trained = train_config(config, workers, cluster, address, tracking)
    if not is_first_rank():  # torchrun's other ranks: the first one speaks
        return {}
    best = f"{trained.best:.2f}" if trained.best is not None else "none"
    print(f"{config.folder}: {trained.epochs} epochs, best {config.evaluation.select} {best}")
    print_runs_page(chosen_uri(tracking, config.storage), config.experiment)
    return trained.as_dict()


def _dry_run(recipe: str, overrides: list[str] | None, assume: list[str], workers: int) -> dict[str, Any]:
    from raytrain.training.dry_run import as_text, dry_run, parse_sizes

    config = run_of(recipe, overrides)
    measured = dry_run(config, parse_sizes(assume))
    print(f"{recipe}: {as_text(measured)}")
    if workers > 1:
        batch = config.optim.batch_size
        print(f"This process took the whole batch of {batch}; each of {workers} workers takes its share.")
    return {"recipe": recipe, **measured}
