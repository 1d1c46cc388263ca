"""The verbs of the command line that train: train and sweep. Ray is imported once one of them runs."""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from pathlib import Path
from typing import Any, get_args

from raytrain.cli.verb import add_verb
from raytrain.config import RunConfig, override, parse_overrides, validate
from raytrain.errors import UsageError
from raytrain.sweeps.objectives import COSTS
from raytrain.sweeps.options import Sampler, SweepOptions
from raytrain.tracking.journal import Journal


def add_verbs(subparsers: Any) -> None:
    """Adds train and sweep; each sets `run`, which takes the parsed arguments and returns the JSON result."""
    train = add_verb(
        subparsers, "train", "train one run; with --workers on the cluster", run_train,
        "raytrain train dvse_emoji optim.lr=5e-4 --workers 2", anywhere=True,
    )  # fmt: skip
    _recipe(train)
    train.add_argument("--workers", type=int, default=0, help="Ray Train workers; 0 trains in this process (default)")
    train.add_argument(
        "--dry-run", action="store_true",
        help="build the model and take two steps on made-up features, in this process; prints size, memory and seconds",
    )  # fmt: skip
    train.add_argument(
        "--assume", action="append", metavar="SIZE=N", default=[],
        help="with --dry-run, a size that only a table knows: regions=36, region_features=2048, tokens=20, "
        "token_features=384, words=10000, captions=5 (an image)",
    )  # fmt: skip
    _cluster(train)

    sweep = add_verb(
        subparsers, "sweep", "search a space around a recipe, by Ray Tune and Optuna", run_sweep,
        "raytrain sweep dvse --recipe dvse_emoji --trials 24 --workers 2", anywhere=True,
    )  # fmt: skip
    sweep.add_argument("space", help="a method's search space, or image_text, which draws the method too")
    sweep.add_argument("--recipe", help="recipe or YAML file of trial 0; left out where --resume names a folder")
    sweep.add_argument("overrides", nargs="*", metavar="a.b=value", help="changes of the recipe")
    sweep.add_argument("--name", help="of the sweep; default made from the space, the table and the time")
    sweep.add_argument("--trials", type=int, help="in all, resumptions included; default 24")
    sweep.add_argument("--workers", type=int, help="Ray Train workers of each trial; default 1")
    sweep.add_argument(
        "--concurrent", type=int, help="trials at a time, for which an autoscaler is asked; default all that fit"
    )
    sweep.add_argument("--resume", metavar="NAME", help="go on with this sweep: its name, or its folder")
    sweep.add_argument("--sampler", choices=get_args(Sampler), help="default tpe; grid tries every combination")
    sweep.add_argument(
        "--cost", choices=list(COSTS), help="keep this low beside the selection metric; the Pareto front is the result"
    )
    sweep.add_argument(
        "--warm-start", action="append", metavar="FOLDER", help="try the best settings of an earlier sweep first"
    )
    sweep.add_argument("--hours", type=float, help="start no trial once this call has run so long")
    sweep.add_argument("--gpu-hours", type=float, help="start no trial once the sweep has spent so much")
    sweep.add_argument("--grace-epochs", type=int, help="epochs before a trial may be stopped; default a quarter")
    sweep.add_argument("--reduction", type=int, help="one trial of so many passes a rung of ASHA; default 3")
    sweep.add_argument("--search-seed", type=int, help="seed of the search; the runs' own is seed=...")
    sweep.add_argument("--rerank-trials", type=int, help="re-ranking settings of stage two; default 200, 0: none")
    sweep.add_argument("--repeat-best", type=int, help="train so many of the best again with more seeds")
    sweep.add_argument("--repeat-seeds", type=int, help="how many more seeds; default 2")
    sweep.add_argument("--each-method", type=int, help="so many of the first trials for each method of image_text")
    _cluster(sweep)
    sweep.add_argument("--prices", help="price table, docs/prices.example.yaml; default prices.yaml in the storage")
    # not given: what the resumed sweep was started with, else the defaults of `sweep`
    sweep.set_defaults(gpu=None, cpus_per_worker=None, gpus_per_worker=None, max_failures=None)


def run_train(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.cluster.connect import connect, in_submitted_job, placed
    from raytrain.tracking.follow import Follower
    from raytrain.tracking.run_record import read_run
    from raytrain.training.run import named, train

    if args.dry_run:
        return _dry_run(args)
    if args.assume:
        raise UsageError("--assume goes with --dry-run; training reads its sizes from the table")
    config = placed(named(override(_config(args.recipe), parse_overrides(args.overrides))))
    started = time.monotonic()
    if args.workers > 0 or in_submitted_job():
        from raytrain.cluster.ray_train import train_on_ray

        connect(args.address)
        done = train_on_ray(
            config,
            workers=max(1, args.workers),
            use_gpu=_use_gpu(args),
            resources_per_worker=_resources(args),
            max_failures=args.max_failures,
            tracking_uri=_tracking(args, config.storage),
        )
    elif int(os.environ.get("RANK", "0")) == 0:
        with Follower(config, _tracking(args, config.storage)):
            train(config)
        done = read_run(config.folder)
    else:  # torchrun's other ranks: the first one speaks
        train(config)
        return {}
    val = {name: value for name, value in done.best_metrics.items() if name.startswith("val/")}
    best = f"{done.best:.2f}" if done.best is not None else "none"
    print(f"{config.folder}: {done.epochs} epochs, best {config.evaluation.select} {best}")
    return {
        "run": str(config.folder),
        "val": val,
        "best": done.best,
        "epochs": done.epochs,
        "seconds": round(time.monotonic() - started, 1),
    }


def _dry_run(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.training.dry_run import as_text, dry_run, parse_sizes

    config = override(_config(args.recipe), parse_overrides(args.overrides))
    found = dry_run(config, parse_sizes(args.assume))
    print(f"{args.recipe}: {as_text(found)}")
    if args.workers > 1:
        batch = config.optim.batch_size
        print(f"This process took the whole batch of {batch}; each of {args.workers} workers takes its share.")
    return {"recipe": args.recipe, **found}


def run_sweep(args: argparse.Namespace) -> dict[str, Any]:
    from raytrain.cluster.connect import absolute_in_job, connect, in_submitted_job
    from raytrain.review.costs import record_sweep_cost
    from raytrain.review.pareto import settings
    from raytrain.review.prices import prices_of
    from raytrain.sweeps.sweep import sweep
    from search_spaces import SPACES

    if args.space not in SPACES:
        raise UsageError(f"no search space '{args.space}'. Spaces: {', '.join(sorted(SPACES))}.")
    base, name, started = _sweep_base(args)
    if in_submitted_job():
        absolute_in_job("storage", base.storage)
    prices = prices_of(base.storage, args.prices)  # a wrong table is told before anything is trained
    options = SweepOptions(**(started.get("options", {}) | _sweep_options(args)))
    connect(args.address)
    result = sweep(
        SPACES[args.space],
        base,
        options,
        name=name,
        resume=bool(args.resume),
        tracking_uri=_tracking(args, base.storage),
    )
    # a tracker that is away was told of, and waited for, once
    tracking = _tracking(args, base.storage) if result["mirrored"] else None
    cost = record_sweep_cost(Path(result["folder"]), prices, tracking)
    counts = ", ".join(f"{count} {state}" for state, count in result["trials"].items())
    best = result["best"]
    print(f"{result['folder']}: {counts}" + (f"; best {best['run']} {best['value']:.2f}" if best else ""))
    for one in result["front"]:
        print(f"  {one['run']}: {one['value']:.2f} at {one['cost']:,.0f} ({settings(one['params'], [*one['params']])})")
    return {**result, "cost": cost.as_dict(), "exit_code": 0 if best else 1}


def _sweep_options(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked for on the command line, by the names of `sweep`."""
    names = ("trials", "workers", "concurrent", "hours", "gpu_hours", "sampler", "cost", "warm_start", "grace_epochs",
             "reduction", "rerank_trials", "repeat_best", "repeat_seeds", "max_failures", "each_method")  # fmt: skip
    given: dict[str, Any] = {name: getattr(args, name) for name in names} | {"seed": args.search_seed}
    if args.gpu is not None:
        given["use_gpu"] = _use_gpu(args)
    if args.cpus_per_worker is not None or args.gpus_per_worker is not None:
        args.cpus_per_worker, args.gpus_per_worker = args.cpus_per_worker or 1.0, args.gpus_per_worker or 1.0
        given["resources_per_worker"] = _resources(args)
    if args.warm_start:
        given["warm_start"] = tuple(args.warm_start)
    return {name: value for name, value in given.items() if value is not None or name == "use_gpu"}


def _sweep_base(args: argparse.Namespace) -> tuple[RunConfig, str, dict[str, Any]]:
    """The base, the sweep's name, and what a resumed sweep's journal says of its start."""
    changes = parse_overrides(args.overrides)
    if args.resume and not args.recipe:
        folder = Path(args.resume).expanduser().resolve()
        start = Journal(folder).last("start")
        if start is None:
            raise UsageError(f"{folder} is no sweep; give the sweep's folder, or its name together with --recipe")
        flat = {key: value for key, value in start["config"].items() if not key.startswith("search.")}
        flat["storage"] = str(folder.parent.parent)  # the folder may be mounted elsewhere now
        return override(validate(_nested(flat)), changes), folder.name, start
    if not args.recipe:
        raise UsageError("name the recipe of trial 0: --recipe dvse_emoji")
    base = override(_config(args.recipe), changes)
    name = args.resume or args.name or f"{args.space}-{Path(base.data.table).name}-{time.strftime('%m%d-%H%M%S')}"
    start = Journal(override(base, {"name": name}).folder).last("start") if args.resume else None
    return base, name, start or {}


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        here = tree
        for key in path:
            here = here.setdefault(key, {})
        here[last] = value
    return tree


def _config(recipe: str) -> RunConfig:
    from raytrain.recipes import RECIPES
    from raytrain.training.run import load_config

    return load_config(recipe, RECIPES)


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="name of a recipe, or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="a.b=value", help="changes of the recipe")


def _cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="Ray cluster: auto, or host:port; default RAY_ADDRESS, or one of its own")
    parser.add_argument("--gpu", choices=["auto", "yes", "no"], default="auto", help="a GPU for each worker")
    parser.add_argument("--cpus-per-worker", type=float, default=1.0, help="CPUs of each worker")
    parser.add_argument("--gpus-per-worker", type=float, default=1.0, help="below 1: trials share a GPU and its memory")
    parser.add_argument("--max-failures", type=int, default=3, help="worker groups lost before a run fails")
    parser.add_argument("--tracking", help="MLflow: sqlite:////absolute/path, http://server, or none")


def _use_gpu(args: argparse.Namespace) -> bool | None:
    return {"auto": None, "yes": True, "no": False}[args.gpu]


def _resources(args: argparse.Namespace) -> dict[str, float]:
    if args.cpus_per_worker <= 0 or args.gpus_per_worker <= 0:
        raise UsageError("--cpus-per-worker and --gpus-per-worker are above 0; --gpu no leaves GPUs out")
    return {"CPU": args.cpus_per_worker, "GPU": args.gpus_per_worker}


def _tracking(args: argparse.Namespace, storage: str) -> str | None:
    """The MLflow URI; none where MLflow is not installed and was not asked for."""
    if args.tracking == "none":
        return None
    installed = importlib.util.find_spec("mlflow") is not None
    if not args.tracking and not installed:
        return None
    from raytrain.tracking.mlflow import check_uri, default_uri, prepare_store

    uri = check_uri(args.tracking or default_uri(storage))
    prepare_store(uri)
    return uri
