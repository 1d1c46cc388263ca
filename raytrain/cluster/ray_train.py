"""`fit` under Ray Train: a group of workers, checkpoints in the run's own folder, restarts after a killed worker."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.cluster import compat, resources
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
from raytrain.progress import say
from raytrain.tracking.follow import Follower
from raytrain.tracking.run_record import RunRecord, close_run, read_run

if TYPE_CHECKING:
    from raytrain.training.checkpoint import Resumption

FINAL = (NonFiniteError, OutOfMemory, UsageError, DataError, RefusedError, Interrupted)
"""Errors that a restart only repeats."""
CONTROLLERS_LOST = 3
"""How often a run is started again after an error of Ray's controller, which starts and watches its workers."""


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
) -> RunRecord:
    """Train a named run with `workers` processes on the connected cluster; its record afterwards.

    The run's folder is Ray's: rank 0 writes checkpoints there, and Ray keeps the best and the last of them. Workers
    that are started again, and another call with the same config, go on from the last one.

    Args:
        config: a named run; its storage must be visible to every node.
        workers: processes; config.optim.batch_size is over all of them.
        use_gpu: None uses GPUs where the cluster has them.
        resources_per_worker: beyond one CPU (and one GPU); {"GPU": 0.5} is half of one and of its memory.
        max_failures: worker groups lost before the run fails.
        tracking_uri: MLflow server or store that mirrors the run; None for no mirror.
        parent: uid of the sweep the run belongs to.
        fingerprint: that the table has on every node, in every life of the run; None takes that of the table here.
        callbacks: Ray Train callbacks, which run in its controller.
        follow: print the epochs here as they end, and mirror them.

    Raises:
        UsageError: the cluster has no room for the workers.
        RefusedError: another table is in its place, here or on a node.
        Interrupted: after SIGTERM to this process, if it follows the run, once the workers have written a checkpoint.
        RaytrainError: what a worker raised, or that the workers were lost more than `max_failures` times.
    """
    from ray.train import CheckpointConfig, FailureConfig, LoggingConfig, ScalingConfig
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from raytrain.training.checkpoint import keep_best_and_last
    from raytrain.training.stop import ask, on_sigterm

    config = placed(config)
    fingerprint = fingerprint or Table(config.data.table).fingerprint
    if parent is not None and use_gpu is not None:
        # the sweep has checked that its trials fit: one that starts while a node is away waits for another node
        gpu, worker = use_gpu, resources.per_worker(use_gpu, resources_per_worker)
    else:
        gpu, worker, _ = resources.room(resources.live_nodes(), workers, use_gpu, resources_per_worker)
    # Ray throttles `report` by this poll: 2 s by default
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # a run whose node was lost may wait for hours until another run ends; one that never fits was refused above
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
                # the best; Ray keeps the last one beside it
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
    return read_run(config.folder)


def _fit(config: RunConfig, trainer: Callable[[], Any]) -> None:
    """Let Ray train a run, and start it again where Ray gave up for a reason that is not the run's own.

    Ray's own restarts do not cover every failure: not that of a worker which dies while it is being started.
    """
    for lost in range(CONTROLLERS_LOST + 1):
        prepare_folder(config)
        try:
            trainer().fit()
            return
        except Exception as error:
            cause = _cause(error)
            reason = f"{type(cause).__name__}: {cause}"
            if lost < CONTROLLERS_LOST and _of_ray(error, cause):
                say(f"{config.name} starts again: {reason}".splitlines()[0])
                continue
            with room_in(config.folder, "the run", "go on"):  # Ray's own files may be what did not fit
                close_run(config.folder, "failed", reason)
                if isinstance(cause, RaytrainError):
                    raise cause from None
                raise RaytrainError(f"{config.name}: {cause}") from cause


def work(job: dict[str, Any]) -> None:
    """What each worker runs: `fit`, with its device and its reports from Ray.

    Args:
        job: config (as JSON), parent and fingerprint, as in `train_on_ray`.
    """
    import ray
    import torch
    from ray import train

    from raytrain.training.fit import fit
    from raytrain.training.run import open_tables

    if "OMP_NUM_THREADS" not in os.environ or not torch.cuda.is_available():
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        torch.set_num_threads(max(1, int(cpus)))
    config = validate(job["config"])
    device = train.torch.get_device()

    def report(metrics: dict[str, float], checkpoint_dir: Path | None) -> None:
        # the folder lies where Ray would put it: nothing is copied
        checkpoint = train.Checkpoint.from_directory(checkpoint_dir) if checkpoint_dir else None
        train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=train.CheckpointUploadMode.NO_UPLOAD)
        if checkpoint_dir:
            drop_partial(config.folder, checkpoint_dir)

    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 1.0)
    resumption = newest_checkpoint(config.folder, device)
    refuse_stale_snapshot(config.folder, resumption)
    with within_memory(device, share):
        fit(
            config,
            open_tables(config, job["fingerprint"]),
            report,
            checkpoint_root=config.folder,
            resume_from=resumption.path,
            left=resumption.left,
            parent=job["parent"],
            device=device,
            memory=estimated(config, device, share),
        )


def estimated(config: RunConfig, device: Any, share: float) -> Any:
    """The memory that the run will take of its share of a GPU; None where it has a whole GPU, or none."""
    from raytrain.training.probe import estimate

    return estimate(config, device, share) if 0 < share < 1 else None


@contextlib.contextmanager
def within_memory(device: Any, share: float) -> Iterator[None]:
    """Limit a worker to its share of a GPU's memory: a run that takes too much fails, and its neighbours do not.

    Args:
        device: of the worker.
        share: of the GPU, and of its memory; 1 sets no limit.

    Raises:
        OutOfMemory: with what the run had taken and what it may take.
    """
    import torch

    cuda = device.type == "cuda"
    if cuda and share < 1:
        torch.cuda.set_per_process_memory_fraction(share, device)
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        if cuda:
            total = torch.cuda.get_device_properties(device).total_memory / 2**30
            peak = torch.cuda.max_memory_allocated(device) / 2**30
            reason = f"it held {peak:.1f} GiB of the {share * total:.1f} GiB of its share of a GPU"
        raise OutOfMemory(
            f"the run needs more memory: {reason}. Lower optim.batch_size, give a worker more of a GPU, or take more "
            "workers"
        ) from error


def newest_checkpoint(folder: Path, device: Any) -> Resumption:
    """Where to resume, the same on every rank; rank 0 looks, and only its answer says what was left.

    Taken from the folder rather than from ray.train.get_checkpoint(), which knows neither the checkpoints within an
    epoch, nor one that was written just before a kill, nor those of a run that began outside Ray.
    """
    import torch
    import torch.distributed as dist

    from raytrain.training.checkpoint import Resumption, name_of, newest_whole, step_of

    if dist.get_rank():
        resumption, step = Resumption(), torch.tensor([-1], device=device)
    else:
        resumption = newest_whole(folder)
        step = torch.tensor([step_of(resumption.path) if resumption.path else -1], device=device)
    dist.broadcast(step, 0)
    return Resumption(folder / name_of(int(step)) if int(step) >= 0 else None, resumption.left)


class StaleSnapshot(Exception):
    """Ray's controller counts on a checkpoint that is damaged; `prepare_folder` lets it begin without."""


def refuse_stale_snapshot(folder: Path, resumption: Resumption) -> None:
    """Have Ray's controller started again where it counts on a checkpoint that the run will write anew.

    It would hold two checkpoints of one folder, and remove the folder with the first of them.

    Raises:
        StaleSnapshot: its snapshot lists a checkpoint that was left.
    """
    snapshot = folder / compat.SNAPSHOT
    if resumption.left and snapshot.exists():
        listed = set(compat.snapshot_checkpoints(snapshot) or resumption.left) & set(resumption.left)
        if listed:
            raise StaleSnapshot(f"Ray counts on {', '.join(sorted(listed))}, which is damaged")


def drop_partial(folder: Path, newest: Path) -> None:
    """Remove checkpoints from within an epoch, of which Ray does not know, once a newer one exists."""
    from raytrain.training.checkpoint import within_epochs

    for path in within_epochs(folder):
        if path.name < newest.name:
            shutil.rmtree(path)


def prepare_folder(config: RunConfig) -> None:
    """Make the run's folder, and remove a snapshot of Ray's that is no use: half of one, or one of damaged checkpoints.

    Raises:
        RefusedError: the folder holds a finished run, or one of another config.
    """
    from raytrain.training.run import resumable

    left = resumable(config).left
    folder = config.folder
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = folder / compat.SNAPSHOT
    if snapshot.exists():
        names = compat.snapshot_checkpoints(snapshot)
        if names is None or not all((folder / name / "manifest.json").is_file() and name not in left for name in names):
            snapshot.unlink()


def _no_retry() -> Any:
    """A Ray Train callback that ends the run at an error which a restart would only repeat."""
    from ray.train import UserCallback

    class NoRetry(UserCallback):  # type: ignore[misc]
        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            for error in worker_exceptions.values():
                cause = compat.raised_by_worker(error)
                if isinstance(cause, (*FINAL, StaleSnapshot)):
                    raise cause

    return NoRetry()


def _of_ray(error: BaseException, cause: BaseException) -> bool:
    """Whether an error is of the run's controller, and no worker's code raised it."""
    from ray.exceptions import RayActorError
    from ray.train import ControllerError

    return isinstance(error, (ControllerError, RayActorError)) and not isinstance(cause, RaytrainError)


def _cause(error: BaseException) -> BaseException:
    """The worker's own exception inside Ray's wrappers; one of ours before any other."""
    from ray.train import ControllerError, WorkerGroupError

    causes: list[BaseException] = []
    if isinstance(error, ControllerError):
        causes = [_cause(error.controller_failure)]
    elif isinstance(error, WorkerGroupError):
        causes = [compat.raised_by_worker(failure) for failure in error.worker_failures.values()]
    return next((cause for cause in causes if isinstance(cause, RaytrainError)), causes[0] if causes else error)
