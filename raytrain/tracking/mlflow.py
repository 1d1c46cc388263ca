"""MLflow mirrors the journals. Training writes its journal and nothing else; `sync` replays what MLflow has not seen.

So a tracking server that was away, slow or restarted costs nothing: the next `sync` brings it to the same state. A run
is identified by the uid in its journal's start, never by its name; after a restart its MLflow run is opened again, and
no second one is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raytrain.errors import UsageError
from raytrain.tracking.journal import NAME, Journal, has_writer, run_folders
from raytrain.tracking.replay import TAG_CHARACTERS, ms, replay, set_status, text
from raytrain.tracking.run_record import first_start, read_run, run_record

UID, LINES, CLOSED = "raytrain.uid", "raytrain.journal_lines", "raytrain.closed"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class SyncResult:
    """What `sync` did.

    Attributes:
        folder: the run's folder.
        run_id: in MLflow; None where the journal has no start yet.
        lines: number of the journal's lines that MLflow has now.
        new_lines: number of them that this call added.
        status: the run's status in MLflow.
    """

    folder: Path
    run_id: str | None
    lines: int
    new_lines: int
    status: str | None


def default_uri(storage: str | os.PathLike[str]) -> str:
    """MLFLOW_TRACKING_URI, or a sqlite file in the storage, by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(storage).expanduser().resolve() / 'mlflow.db'}"


def check_uri(uri: str) -> str:
    """The URI itself.

    Raises:
        UsageError: neither a sqlite file by its absolute path nor a server.
    """
    parts = urlsplit(uri)
    if parts.scheme == "sqlite" and not parts.netloc and re.match(r"//[^/]", parts.path):
        return uri  # sqlite:////data/mlflow.db: three slashes of the scheme, then an absolute path
    if parts.scheme in ("http", "https") and parts.hostname:
        return uri
    raise UsageError(
        f"MLflow store '{_without_password(uri)}' is neither sqlite:////absolute/path/mlflow.db nor "
        "http(s)://host:port. A relative path would land in a job's temporary folder and be lost, and MLflow no longer "
        "takes plain files."
    )


def prepare_store(uri: str) -> None:
    """Create a sqlite store with its tables; do nothing for a server, which may be started later.

    Processes that open a fresh store together would fail: those of one machine take turns here, and a driver calls
    this before it starts processes on others.

    Raises:
        UsageError: a URI that names no lasting store, or MLflow is not installed.
    """
    check_uri(uri)
    if uri.startswith("sqlite:"):
        folder = Path(urlsplit(uri).path[1:]).parent
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            _client(uri).search_experiments(max_results=1)


def sync(folder: str | os.PathLike[str], uri: str) -> SyncResult:
    """Bring MLflow's copy of one run or sweep up to date with its journal; a second call changes nothing.

    Args:
        folder: of the run.
        uri: of the store, as `check_uri` wants it.

    Raises:
        UsageError: a URI that names no lasting store, or MLflow is not installed. Errors of MLflow go through.
    """
    check_uri(uri)
    folder = Path(folder).resolve()
    if not (folder / NAME).exists():
        return SyncResult(folder, None, 0, 0, None)
    client = _client(uri)
    with _one_at_a_time(folder):
        events = Journal(folder).read()
        record = run_record(folder, events)
        start = record.start
        if not start:
            return SyncResult(folder, None, 0, 0, None)
        run = _find(client, start) or _create(client, start)
        if start.get("parent") and PARENT not in run.data.tags:
            parent = _parent_run(client, folder, start, uri)
            if parent is not None:
                client.set_tag(run.info.run_id, PARENT, parent)
        seen = int(run.data.tags.get(LINES, 0))
        if seen >= len(events):
            return SyncResult(folder, run.info.run_id, seen, 0, run.info.status)
        replay(client, run, events, seen)
        status = set_status(client, run, record.end)
        # last, so that what a kill interrupts is replayed; MLflow keeps one of two equal metrics
        client.set_tag(run.info.run_id, LINES, str(len(events)))
        return SyncResult(folder, run.info.run_id, len(events), len(events) - seen, status)


def sync_tree(
    storage: str | os.PathLike[str],
    experiment: str | None,
    uri: str,
    stale_after_s: float = 600.0,
) -> list[SyncResult]:
    """`sync` every run of an experiment (None: of all), and close in MLflow the runs that nobody will end any more.

    A run whose journal has no end is closed as KILLED when its sweep has ended, or when its last line is older than
    `stale_after_s` and no process that wrote it is alive. If it goes on after all, the next `sync` opens it again.
    """
    check_uri(uri)
    folders = run_folders(storage, experiment)
    results = [sync(folder, uri) for folder in folders]
    records = [read_run(folder) for folder in folders]
    ended = {record.start["uid"] for record in records if record.start and record.end}
    client = _client(uri)
    for index, result in enumerate(results):
        if result.status == "RUNNING" and (reason := _stale(result.folder, ended, stale_after_s)):
            client.set_tag(result.run_id, CLOSED, reason)
            client.set_terminated(result.run_id, "KILLED", end_time=ms(Journal(result.folder).read()[-1]))
            results[index] = SyncResult(result.folder, result.run_id, result.lines, result.new_lines, "KILLED")
    return results


def _stale(folder: Path, ended: set[str], stale_after_s: float) -> str | None:
    """Why an open run has to be closed; None of a run that may go on."""
    events = Journal(folder).read()
    record = run_record(folder, events)
    if record.end:
        return None
    if record.start and record.start.get("parent") in ended:
        return "its sweep has ended"
    age_s = time.time() - float(events[-1]["time"])
    if age_s > stale_after_s and not has_writer(folder):
        return f"silent for {age_s:.0f} s, and no process that wrote its journal lives"
    return None


def _find(client: Any, start: Mapping[str, Any]) -> Any:
    """The MLflow run of a journal; None where there is none yet."""
    experiment = client.get_experiment_by_name(start["experiment"])
    if experiment is None:
        return None
    uid = re.sub(r"[^A-Za-z0-9._-]", "", str(start["uid"]))  # it goes into a filter expression
    runs = client.search_runs([experiment.experiment_id], f"tags.`{UID}` = '{uid}'", max_results=1)
    return runs[0] if runs else None


def _create(client: Any, start: Mapping[str, Any]) -> Any:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(start["experiment"])
    try:
        number = experiment.experiment_id if experiment else client.create_experiment(start["experiment"])
    except MlflowException:  # another process was faster
        number = client.get_experiment_by_name(start["experiment"]).experiment_id
    config = start.get("config") or {}
    tags = {
        UID: re.sub(r"[^A-Za-z0-9._-]", "", str(start["uid"])),
        "mlflow.source.git.commit": start.get("commit"),
        "commit": start.get("commit"),
        "fingerprint": start.get("fingerprint"),
        "method": config.get("method.kind"),
        "seed": start.get("seed"),
        "kind": start.get("kind"),
        "device": start.get("device"),
        "workers": start.get("workers"),
    }
    kept = {name: text(value, TAG_CHARACTERS) for name, value in tags.items() if value is not None}
    return client.create_run(number, start_time=ms(start), tags=kept, run_name=start.get("run"))


def _parent_run(client: Any, folder: Path, start: Mapping[str, Any], uri: str) -> str | None:
    """MLflow's id of the sweep that a run belongs to; the sweep, in a folder beside it, is mirrored if need be."""
    parent = _find(client, {"experiment": start["experiment"], "uid": start["parent"]})
    if parent is not None:
        return str(parent.info.run_id)
    for path in sorted(folder.parent.glob(f"*/{NAME}")):
        if path.parent != folder and first_start(Journal(path.parent).read()).get("uid") == start["parent"]:
            return sync(path.parent, uri).run_id
    return None


def _client(uri: str) -> Any:
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise UsageError("mirroring runs needs MLflow: pip install '.[mlflow]'") from None
    for name in ("alembic", "mlflow.store.db.utils"):  # they log a line per table of a new store
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Inside, no other process mirrors this run or makes this store; on a file system without locks we go ahead."""
    with open(folder / ".mlflow.lock", "a") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/@]*@", "//...@", uri)
