"""MLflow's store: a sqlite file is made whole or not at all, and one that cannot be used is warned of once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raytrain.errors import TrackingError, UsageError, argument, pip_install
from raytrain.tracking.faults import explained
from raytrain.tracking.uri import check_uri, sqlite_path

LOCK_WAIT_S, TURN_WAIT_S = 5.0, 60.0
"""For the database, and for another process that mirrors the same run or makes the same store."""


def goes_on() -> str:
    """The end of a warning: what is lost, which is nothing, and what to do."""
    return (
        "The run goes on and its journal keeps everything; `raytrain track sync` brings in what is missing, and "
        f"{argument('tracking', 'none')} leaves MLflow out."
    )


def prepare_store(uri: str) -> None:
    """Create a sqlite store with its tables; do nothing for a server, which may be started later.

    Processes that open a fresh store together would fail: those of one machine take turns here, and a driver calls
    this before it starts processes on others. A store is made under another name and then renamed, so that a full disk
    or a kill leaves none that is half made. One that is, and so holds nothing, is put aside and made again.

    Raises:
        UsageError: a URI that names no lasting store, or MLflow is not installed.
        TrackingError: the store cannot be made or opened; the message says why and what to do.
    """
    check_uri(uri)
    path = sqlite_path(uri)
    if path is None:
        return
    with explained(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(path.parent):
            if _has_content(path):
                try_lock(path)
                if not _holds_anything(path) and not _opens(path):
                    for suffix in ("-wal", "-journal", ""):
                        with contextlib.suppress(FileNotFoundError):
                            os.replace(f"{path}{suffix}", f"{path}{suffix}.half-made")
            if not _has_content(path):
                _make(path)


def prepare_or_warn(uri: str) -> bool:
    """`prepare_store`; a store that cannot be made or opened leads to one warning, and False."""
    try:
        prepare_store(uri)
    except TrackingError as error:
        warn_once(uri, f"MLflow cannot be used: {error}. {goes_on()}")
        return False
    _warned.discard(uri)
    return True


_warned: set[str] = set()


def warn_once(uri: str, message: str) -> None:
    """Warn of a store, once until `prepare_or_warn` has succeeded with it."""
    if uri not in _warned:
        _warned.add(uri)
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def open_client(uri: str) -> Any:
    """A client of MLflow. A sqlite file that is locked is told within seconds; MLflow itself would try for a minute.

    Raises:
        UsageError: MLflow is not installed.
        sqlite3.Error: the file is locked or damaged.
    """
    path = sqlite_path(uri)
    if path is not None and path.exists():
        try_lock(path)
    # MLflow reads both when it is imported: nothing that is loaded may run code, and nothing is told to its makers
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise UsageError(f"mirroring runs needs MLflow: {pip_install('mlflow')}") from None
    for name in ("alembic", "mlflow.store.db.utils"):  # they log a line per table of a new store
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is wrong is told in one line elsewhere
    return MlflowClient(uri)


def try_lock(path: Path) -> None:
    """Take the right to write for a moment.

    Raises:
        sqlite3.Error: another process keeps it for longer than LOCK_WAIT_S, or the file is no database.
    """
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", timeout=LOCK_WAIT_S, uri=True)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("SELECT count(*) FROM sqlite_master")
        database.rollback()


def _holds_anything(path: Path) -> bool:
    """Whether a store has a run, a model or an experiment of its own."""
    tables = _tables(path)
    with contextlib.closing(sqlite3.connect(path, timeout=LOCK_WAIT_S)) as database:
        least = {"experiments": 1, "runs": 0, "registered_models": 0}  # MLflow makes the experiment Default
        counts = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in {*least} & tables}
    return any(count > least[table] for table, count in counts.items())


def _tables(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path, timeout=LOCK_WAIT_S)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _has_content(path: Path) -> bool:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.exists() and path.stat().st_size > 0


def _opens(path: Path) -> bool:
    """Whether MLflow takes a copy of the store as it is: of the file itself it would keep connections open."""
    with _beside(path) as copy:
        shutil.copyfile(path, copy)
        try:
            open_client(f"sqlite:///{copy}").search_experiments(max_results=1)
        except UsageError:
            raise
        except (Exception, SystemExit):  # whatever MLflow and its database raise; its migrations exit
            return False
        return _tables(path) == _tables(copy)


def _make(path: Path) -> None:
    with _beside(path) as part:
        part.touch()  # where no file can be made, MLflow would try for minutes
        open_client(f"sqlite:///{part}").search_experiments(max_results=1)
        os.replace(part, path)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A path beside the store for a file of its own, which is removed afterwards, and what a kill left of others."""
    try:
        yield path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    finally:
        for left in path.parent.glob(f".{path.name}.*.part*"):
            with contextlib.suppress(OSError):
                left.unlink()


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Inside, no other process mirrors this run or makes this store; on a file system without locks we go ahead.

    Raises:
        TimeoutError: another process has been at it for TURN_WAIT_S.
    """
    try:
        file = open(folder / ".mlflow.lock", "a")  # noqa: SIM115 - closed below
    except OSError:  # a folder that cannot be written to
        yield
        return
    with file:
        deadline = time.monotonic() + TURN_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process holds {file.name}, locked for {TURN_WAIT_S:g} s") from None
                time.sleep(0.05)
                continue
            except OSError:
                pass  # a file system without locks
            break
        yield
