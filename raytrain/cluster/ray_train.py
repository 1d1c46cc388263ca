"""`fit` under Ray Train: a group of workers, checkpoints in the run's own folder, restarts after a killed worker."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.cluster import resources
from raytrain.cluster.connect import placed
from raytrain.config import RunConfig, to_values, validate
from raytrain.data.table import Table
from raytrain.errors import (
    DataError,
    Interrupted,
    NonFiniteError,
    OutOfMemory,
    RaytrainError,
    RefusedError,
    UsageError,
)
from raytrain.files import room_in
from raytrain.tracking.follow import Follower, say
from raytrain.tracking.progress import Progress, close, progress

SNAPSHOT = "checkpoint_manager_snapshot.json"
FINAL = (NonFiniteError, OutOfMemory, UsageError, DataError, RefusedError, Interrupted)
"""Errors that a restart only repeats."""
CONTROLLERS_LOST = 3  # how often a run is started again after an error in what starts and watches its workers


def train_on_ray(
    config: RunConfig,
    *,
    workers: int,
    use_gpu: bool | None = None,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    tracking_uri: str | None = None,
    parent: str | None = None,
    fingerprint: str | None = None,
    callbacks: Sequence[Any] = (),
    follow: bool = True,
) -> Progress:
    """Train a named run with `workers` processes on the connected cluster, and return how it went.

    The run's folder is Ray's: rank 0 writes checkpoints there, Ray keeps the best and the last of them and hands the
    last one to workers that are started again. Calling this again with the same config goes on from there.

    Args:
        config: a named run; its storage must be visible to every node.
        workers: processes; config.optim.batch_size is over all of them.
        use_gpu: None uses GPUs where the cluster has them.
        resources_per_worker: beyond one CPU (and one GPU); {"GPU": 0.5} is half of one and of its memory.
        max_failures: worker groups lost before the run fails.
        tracking_uri: MLflow server or store that mirrors the run; None for no mirror.
        parent: uid of the sweep the run belongs to.
        fingerprint: that the table has on every node, in every life of the run; None takes what it has here now.
        callbacks: Ray Train callbacks, which run in its controller.
        follow: print the epochs here as they end, and mirror them.

    Raises:
        UsageError: the cluster has no room for the workers.
        RefusedError: the table is another one, here or on a node.
        Interrupted: after SIGTERM to this process, if it follows the run, once the workers have written a checkpoint.
        RaytrainError: what a worker raised, or that the workers were lost more than `max_failures` times.
    """
    from ray.train import CheckpointConfig, FailureConfig, ScalingConfig
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.config import LoggingConfig

    from raytrain.training.checkpoint import keep_best_and_last
    from raytrain.training.stop import ask, on_sigterm

    config = placed(config)
    fingerprint = fingerprint or Table(config.data.table).fingerprint
    if parent is not None and use_gpu is not None:
        # the sweep saw that its trials fit: one that starts while a node is away waits for another
        gpu, worker = use_gpu, resources.per_worker(use_gpu, resources_per_worker)
    else:
        gpu, worker, _ = resources.room(resources.live_nodes(), workers, use_gpu, resources_per_worker)
    # Ray throttles `report` by this poll: 2 s by default
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # a run whose node was lost may have to wait for hours until another one ends; what never fits was refused above
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "86400")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
    trainer = functools.partial(
        TorchTrainer,
        work,
        train_loop_config={"config": to_values(config), "parent": parent, "fingerprint": fingerprint},
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=dict(worker)),
        run_config=RayRunConfig(
            name=config.name,
            storage_path=str(config.folder.parent),
            checkpoint_config=CheckpointConfig(
                # the best; the last one is kept beside it until a better one arrives
                num_to_keep=1,
                checkpoint_score_attribute=config.evaluation.select,
                checkpoint_score_order="max",
            ),
            failure_config=FailureConfig(max_failures=max_failures, controller_failure_limit=CONTROLLERS_LOST),
            callbacks=[*callbacks, _no_retry()],
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    with contextlib.ExitStack() as while_it_trains:
        if follow:
            while_it_trains.enter_context(Follower(config, tracking_uri))
            while_it_trains.enter_context(on_sigterm(lambda: ask(config.folder)))
        _fit(config, trainer)
    keep_best_and_last(config.folder)
    return progress(config.folder, config.evaluation.select)


def _fit(config: RunConfig, trainer: Callable[[], Any]) -> None:
    """Let Ray train a run, and start it again where Ray gave up for a reason that is not the run's own.

    Ray itself tries again only what it foresaw: not a worker that dies in the moment in which it is started.
    """
    for lost in range(CONTROLLERS_LOST + 1):
        prepare_folder(config)
        try:
            trainer().fit()
            return
        except Exception as error:
            found = _cause(error)
            told = f"{type(found).__name__}: {found}"
            if lost < CONTROLLERS_LOST and _of_ray(error, found):
                say(f"{config.name} starts again: {told}".splitlines()[0])
                continue
            with room_in(config.folder, "the run", "go on"):  # Ray's own files may be what did not fit
                close(config.folder, "failed", told)
                if isinstance(found, RaytrainError):
                    raise found from None
                raise RaytrainError(f"{config.name}: {found}") from found


def work(job: dict[str, Any]) -> None:
    """What each worker runs: `fit`, told by Ray where to start from."""
    import ray
    import torch
    from ray import train
    from ray.train.v2.api.report_config import CheckpointUploadMode

    from raytrain.training.fit import fit
    from raytrain.training.run import open_tables

    if "OMP_NUM_THREADS" not in os.environ or not torch.cuda.is_available():
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        torch.set_num_threads(max(1, int(cpus)))
    config = validate(job["config"])
    device = train.torch.get_device()

    def report(metrics: dict[str, float], checkpoint_dir: Path | None) -> None:
        # the folder is in Ray's place already: nothing is copied
        checkpoint = train.Checkpoint.from_directory(checkpoint_dir) if checkpoint_dir else None
        train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD)
        if checkpoint_dir:
            drop_partial(config.folder, checkpoint_dir)

    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 1.0)
    with within_memory(device, share):
        fit(
            config,
            open_tables(config, job["fingerprint"]),
            report,
            checkpoint_root=config.folder,
            resume_from=newest_checkpoint(config.folder, device),
            parent=job["parent"],
            device=device,
            memory=estimated(config, device, share),
        )


def estimated(config: RunConfig, device: Any, share: float) -> Any:
    """What the run will hold of its part of a GPU; None where it has a whole one, or none."""
    from raytrain.training.probe import estimate

    return estimate(config, device, share) if 0 < share < 1 else None


@contextlib.contextmanager
def within_memory(device: Any, share: float) -> Iterator[None]:
    """Hold a worker to its share of a GPU, so that it fails by itself and not its neighbours.

    Args:
        device: of the worker.
        share: of the GPU, by which its memory is cut too; 1 leaves it alone.

    Raises:
        OutOfMemory: saying what it had and what it may take.
    """
    import torch

    cuda = device.type == "cuda"
    if cuda and share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)
    try:
        yield
    except torch.OutOfMemoryError as error:
        told = str(error).splitlines()[0]
        if cuda:
            total = torch.cuda.get_device_properties(device).total_memory / 2**30
            peak = torch.cuda.max_memory_allocated(device) / 2**30
            told = f"it held {peak:.1f} GiB of the {share * total:.1f} GiB of its share of a GPU"
        raise OutOfMemory(
            f"the run needs more memory: {told}. Lower optim.batch_size, or raise --gpus-per-worker or --workers"
        ) from error


def newest_checkpoint(folder: Path, device: Any) -> Path | None:
    """The checkpoint to resume from, the same on every rank.

    Taken from the folder rather than from ray.train.get_checkpoint(): that one does not know the checkpoints within
    an epoch, nor those written in the moment of a kill, nor those of a run that began outside Ray.
    """
    import torch
    import torch.distributed as dist

    from raytrain.training.checkpoint import PREFIX, latest, name_of

    found = latest(folder)
    step = torch.tensor([int(found.name.removeprefix(PREFIX)) if found else -1], device=device)
    dist.broadcast(step, 0)
    return folder / name_of(int(step)) if int(step) >= 0 else None


def drop_partial(folder: Path, newest: Path) -> None:
    """Remove checkpoints from within an epoch, which Ray was never told of, once a newer one exists."""
    from raytrain.training.checkpoint import within_epochs

    for path in within_epochs(folder):
        if path.name < newest.name:
            shutil.rmtree(path)


def prepare_folder(config: RunConfig) -> None:
    """Make the run's folder, and drop a snapshot of Ray's that a killed controller left unusable.

    Raises:
        RefusedError: the folder holds a finished run, or one of another config.
    """
    from raytrain.training.run import resumable

    resumable(config)
    folder = config.folder
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = folder / SNAPSHOT
    if snapshot.exists():
        # Ray writes it in place: a kill in that moment leaves half a file, which Ray refuses to start from
        try:
            known = json.loads(snapshot.read_text(encoding="utf-8"))["checkpoint_results"]
            usable = all((folder / entry["checkpoint_dir_name"] / "manifest.json").is_file() for entry in known)
        except (ValueError, KeyError, TypeError):
            usable = False
        if not usable:
            snapshot.unlink()


def _no_retry() -> Any:
    """A Ray Train callback that ends the run at an error which a restart would only repeat."""
    from ray.train.v2.api.callback import UserCallback

    class NoRetry(UserCallback):  # type: ignore[misc]
        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            for error in worker_exceptions.values():
                found = getattr(error, "_base_exc", error)
                if isinstance(found, FINAL):
                    raise found

    return NoRetry()


def _of_ray(error: BaseException, cause: BaseException) -> bool:
    """Whether it befell the run's controller and no worker's code raised it."""
    from ray.exceptions import RayActorError
    from ray.train.v2.api.exceptions import ControllerError

    return isinstance(error, (ControllerError, RayActorError)) and not isinstance(cause, RaytrainError)


def _cause(error: BaseException) -> BaseException:
    """The worker's own exception inside Ray's wrappers; one of ours before any other."""
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    found: list[BaseException] = []
    if isinstance(error, ControllerError):
        found = [_cause(error.controller_failure)]
    elif isinstance(error, WorkerGroupError):
        found = [getattr(each, "_base_exc", each) for each in error.worker_failures.values()]
    return next((each for each in found if isinstance(each, RaytrainError)), found[0] if found else error)
