"""A run around its loop: name it, open its tables, train or resume it without Ray, load its best checkpoint."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from raytrain.config import RunConfig, changes_nothing, flatten, override
from raytrain.data.table import AnySplit, Table, open_split
from raytrain.distributed import default_device
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.files import plain_name
from raytrain.methods.base import Method
from raytrain.scoring.feed import Feed, open_feed
from raytrain.tracking.ensemble_record import ensemble_of, member_folders
from raytrain.tracking.journal import has_writer
from raytrain.tracking.run_record import read_run
from raytrain.training import checkpoint, manifest, stop
from raytrain.training.build import build_method, refuse_other_task
from raytrain.training.fit import Report, fit, no_report
from raytrain.training.initial_weights import misfits
from raytrain.training.manifest import damaged


def named(config: RunConfig) -> RunConfig:
    """The config; where it has no name, a copy named after method, table, seed and time."""
    if config.name:
        return config
    stamp = time.strftime("%m%d-%H%M%S")
    return override(config, {"name": f"{config.method.kind}-{plain_name(config.data.table)}-s{config.seed}-{stamp}"})


def open_tables(config: RunConfig, fingerprint: str | None = None) -> dict[str, AnySplit]:
    """{"train": ..., "val": ...} of the config's table; the test split stays closed.

    Args:
        fingerprint: which the table must have, in a run of a sweep; None takes any.

    Raises:
        UsageError: the table holds composed queries and the method wants images with captions, or the reverse.
        RefusedError: it is another table, or was changed since it was built.
    """
    table = Table(config.data.table, config.feed.local_copy, config.feed.verify)
    if fingerprint is not None:
        table.refuse_other(fingerprint)
    table.refuse_edited()
    refuse_other_task(config, table)
    names = {"train": config.data.train_split, "val": config.data.val_split}
    return {which: open_split(table, name) for which, name in names.items()}


def train(config: RunConfig, report: Report = no_report, parent: str | None = None) -> dict[str, float]:
    """Train with `fit` in this process, or in each process that torchrun started; its metrics.

    An interrupted run of the same name is resumed.

    Args:
        config: named here where it has no name.
        report: called once per epoch, as in `fit`.
        parent: uid of the sweep this run belongs to.

    Raises:
        RefusedError: the name is taken by a run with other settings, by a finished run, or by one that trains now.
        UsageError: torchrun started several processes and the config has no name.
    """
    if not config.name and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("processes started by torchrun need one name; give name=...")
    config = named(config)
    resumption = resumable(config)
    with process_group():
        return fit(
            config, open_tables(config), report, resume_from=resumption.path, left=resumption.left, parent=parent
        )


def resumable(config: RunConfig, patience_s: float = 20.0) -> checkpoint.Resumption:
    """Where to resume: at the newest checkpoint that is whole; nowhere for a new run.

    Args:
        patience_s: seconds to wait for a process that still writes to the run: workers outlive a killed driver by some
            seconds.

    Raises:
        RefusedError: the folder holds a run with other settings or a finished one, another process writes to it, or
            features of its table were encoded anew since.
        UnusableCheckpointError: a newer raytrain wrote the checkpoint to resume from, or it may not be read.
    """
    started = bool(read_run(config.folder).start)
    if int(os.environ.get("RANK", "0")) == 0:  # the other ranks may come here when rank 0 writes already
        if started:
            _wait_for_writer(config.folder, patience_s)
        stop.withdraw(config.folder)  # a run may have been asked to stop before it started
    if not started:
        return checkpoint.Resumption()
    record = read_run(config.folder)  # the writer may have finished the run meanwhile
    start = record.start
    given, settings_before = flatten(config), start.get("config") or {}
    recorded = {name: value for name, value in settings_before.items() if not changes_nothing(name)}
    different = [name for name, value in recorded.items() if given.get(name) != value]
    if different:
        was = ", ".join(f"{name} was {settings_before[name]!r}, is {given.get(name)!r}" for name in different)
        raise RefusedError(f"{config.folder} holds a run with other settings ({was}); give another name")
    if record.status == "finished":
        raise RefusedError(f"{config.folder} holds a finished run; give another name, or remove the folder")
    Table(config.data.table).refuse_other_features(start.get("features", {}))
    return checkpoint.newest_whole(config.folder)


def _wait_for_writer(folder: Path, timeout_s: float) -> None:
    """Return once no process writes to the run's journal any more."""
    deadline = time.monotonic() + timeout_s
    while has_writer(folder):
        if time.monotonic() > deadline:
            raise RefusedError(f"another process is training {folder}; wait for it, or give another name")
        time.sleep(0.5)


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Inside, torch.distributed's process group exists, if torchrun started this process as one of several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def load_run(
    folder: Path, table: Table | None = None, verify_features: bool = True, device: torch.device | None = None
) -> tuple[Method, Feed, checkpoint.Checkpoint]:
    """A run's best checkpoint: its model in evaluation mode, readers over its table, and the checkpoint itself.

    Args:
        folder: of the run, or of one of its checkpoints.
        table: to read instead of the run's own.
        verify_features: as in Table, of the run's own.
        device: for the model and its batches; None takes this process's own.

    Raises:
        UsageError: the folder holds no finished checkpoint.
        DataError: the checkpoint is damaged, or that of the run's best epoch is; another one would be other numbers.
    """
    saved = checkpoint.load(checkpoint_of(folder))
    device = device or default_device()
    table = table or Table(saved.config.data.table, verify_features=verify_features)
    feed = open_feed(saved.config, table, saved.vocabulary, device)
    model = build_method(saved.config, feed)
    if tensors := misfits(model, saved.weights):
        raise damaged(saved.path / checkpoint.WEIGHTS, f"no weights of this run's model: {tensors[0]}")
    model.load_state_dict(saved.weights)
    return model.to(device).eval(), feed, saved


def checkpoint_of(folder: Path) -> Path:
    """The folder itself where it is a checkpoint, otherwise the best checkpoint of the run in it.

    Raises:
        UsageError: the folder holds no finished checkpoint, or is an ensemble's.
        DataError: the checkpoint of the run's best epoch is damaged or gone.
    """
    if (folder / manifest.NAME).exists():
        return folder
    best, record = checkpoint.best(folder), read_run(folder)
    if (ensemble := ensemble_of(record.start)) is not None:
        members = ", ".join(str(member) for member in member_folders(folder, ensemble))
        raise UsageError(f"{folder} is an ensemble, which has no model of its own; give one of its runs: {members}")
    if record.best is not None and record.best_step is not None:
        reached = checkpoint.manifest_of(best)["selected"] if best else None
        if reached is None or reached < record.best:
            lost = folder / checkpoint.name_of(record.best_step)
            if best or lost.exists() or (folder / f"{checkpoint.SET_ASIDE}{lost.name}").exists():
                raise DataError(
                    Problem(
                        str(lost),
                        None,
                        f"damaged or gone, and it is the best of the run (epoch {record.best_epoch})",
                        "Put back a copy of it, or train the run again under another name.",
                    )
                )
    if best is None:
        raise UsageError(f"{folder} holds no finished checkpoint; give the folder of a run")
    return best


def unchanged_table(
    saved: checkpoint.Checkpoint, moved_to: str | os.PathLike[str] | None = None, verify_features: bool = True
) -> Table:
    """The table that a checkpoint was trained on.

    Args:
        moved_to: its folder now; None where it has not moved.
        verify_features: as in Table.

    Raises:
        RefusedError: the table has changed since, or is another one.
    """
    table = Table(moved_to or saved.config.data.table, verify_features=verify_features)
    if table.fingerprint != saved.manifest["fingerprint"]:
        raise RefusedError(
            f"{table.path} has changed since {saved.path.parent.name} was trained (fingerprint "
            f"{table.fingerprint[:12]}, was {saved.manifest['fingerprint'][:12]}); numbers on other data are not this "
            "run's"
        )
    table.refuse_edited()
    return table
