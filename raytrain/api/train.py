"""`raytrain.recipe` and `raytrain.train`: a run as a value, trained in this process or on a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.api.mirroring import tracking_uri
from raytrain.api.outside_errors import public_call
from raytrain.api.results import TrainedRun
from raytrain.progress import Listener

if TYPE_CHECKING:
    from raytrain.config import RunConfig


Changes = Mapping[str, Any] | Sequence[str]
"""Values by dotted names, {"optim.lr": 1e-4, "method.views": 4}, or as a command takes them, ["optim.lr=1e-4"]."""


def recipe(name: str, changes: Changes | None = None) -> RunConfig:
    """The run of a recipe, with some of its fields changed.

    Args:
        name: of a recipe (`raytrain recipes` lists them), or the path of a YAML file.
        changes: values by dotted names, {"optim.lr": 1e-4, "method.views": 4}, or ["optim.lr=1e-4", "method.views=4"].

    Returns:
        a frozen, checked value; `train`, `sweep` and `study` take it.

    Raises:
        UsageError: no such recipe or field, or a value out of its bounds.
    """
    from raytrain.recipes.load import load_recipe

    return changed(load_recipe(name), changes)


def changed(config: RunConfig, changes: Changes | None) -> RunConfig:
    """The config with some of its fields changed."""
    from raytrain.config import override, parse_overrides

    if not isinstance(changes, Mapping):
        changes = parse_overrides(config, changes or ())
    return override(config, changes)


def config_of(run: str | RunConfig, changes: Changes | None) -> RunConfig:
    """The run of a recipe, of a YAML file or of a config, with some of its fields changed."""
    return recipe(run, changes) if isinstance(run, str) else changed(run, changes)


def train(
    run: str | RunConfig,
    changes: Changes | None = None,
    *,
    workers: int = 0,
    start_from: str | os.PathLike[str] | None = None,
    verify: bool = True,
    use_gpu: bool | None = None,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    address: str | None = None,
    tracking: str | None = None,
    progress: Listener | None = None,
) -> TrainedRun:
    """Train a run; an interrupted one of the same name and settings goes on.

    Args:
        run: name of a recipe, path of a YAML file, or a config.
        changes: of the run, as in `recipe`.
        workers: processes of Ray Train; 0 trains in this process.
        start_from: checkpoint, or folder of a run, whose weights are the first ones; optimizer and epochs are new.
        verify: compare the table's features with their sha256; recorded with the run.
        use_gpu: one GPU per worker; None uses GPUs where there are some. This and the next three are for `workers`
            above 0.
        resources_per_worker: {"CPU": 1.0, "GPU": 1.0} where nothing else is said.
        max_failures: worker groups that may be lost before the run fails.
        address: Ray cluster, "auto" or "host:port"; None takes RAY_ADDRESS, or starts one on this machine.
        tracking: MLflow store; None takes the storage's own where MLflow is installed, "none" leaves it out.
        progress: called with a `ProgressEvent` per epoch, at the start and at the end; None is silent.

    Returns:
        the best epoch's validation metrics, and the run's folder.

    Raises:
        UsageError: no such recipe or field, or a value out of its bounds.
        DataError: the table or a checkpoint is damaged.
        RefusedError: the name is taken by another run or by a finished one, or the table has changed.
        NonFiniteError: a loss became NaN or infinite.
        Interrupted: the run was stopped, and the same call goes on with it.
    """
    with public_call(progress):
        config = run_to_train(run, changes, start_from, verify)
        if resources_per_worker is None:
            resources_per_worker = {"CPU": 1.0, "GPU": 1.0}
        cluster = {"use_gpu": use_gpu, "resources_per_worker": resources_per_worker, "max_failures": max_failures}
        return train_config(config, workers, cluster, address, tracking)


def run_to_train(
    run: str | RunConfig,
    changes: Changes | None = None,
    start_from: str | os.PathLike[str] | None = None,
    verify: bool = True,
) -> RunConfig:
    """The whole config of a run that is about to be trained: named, with absolute paths and its first weights."""
    from raytrain.cluster.connect import placed
    from raytrain.config import override
    from raytrain.training.run import checkpoint_of, named

    config = config_of(run, changes)
    if start_from is not None:
        config = override(config, {"optim.start_from": str(checkpoint_of(Path(start_from).expanduser().resolve()))})
    return placed(named(config if verify else override(config, {"feed.verify": False})))


def is_first_rank() -> bool:
    """Whether this process is the only one, or the one of torchrun's that speaks for the others."""
    return int(os.environ.get("RANK", "0")) == 0


def train_config(
    config: RunConfig, workers: int, cluster: Mapping[str, Any], address: str | None, tracking: str | None
) -> TrainedRun:
    """Train a config that `run_to_train` has made.

    Args:
        workers: as in `train`; a submitted job trains with one at least.
        cluster: options of `train_on_ray`.
        address: as in `train`.
        tracking: as in `train`.
    """
    from raytrain.cluster.connect import connect, in_submitted_job
    from raytrain.config import flatten
    from raytrain.review.marks.selection import selected_on
    from raytrain.tracking.follow import Follower
    from raytrain.tracking.run_record import read_run
    from raytrain.training.run import train as train_here

    started = time.monotonic()
    if workers > 0 or in_submitted_job():
        from raytrain.cluster.ray_train import train_on_ray

        connect(address)
        store = tracking_uri(tracking, config.storage)
        record = train_on_ray(config, workers=max(1, workers), **cluster, tracking_uri=store)
    else:
        if is_first_rank():
            with Follower(config, tracking_uri(tracking, config.storage)):
                train_here(config)
        else:
            train_here(config)
        record = read_run(config.folder)
    return TrainedRun(
        run=str(config.folder),
        val={name: value for name, value in record.best_metrics.items() if name.startswith("val/")},
        best=record.best,
        selected_on=selected_on(flatten(config), {}),
        epochs=record.epochs,
        seconds=round(time.monotonic() - started, 1),
    )
