"""MLflow mirrors the journals. Training writes its journal and nothing else; `sync` replays what MLflow has not seen.

So a tracking server that was away, slow or restarted costs nothing: the next `sync` brings it to the same state. A run
is identified by the uid in its journal's start, never by its name; after a restart its MLflow run is opened again, and
no second one is made.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raytrain.errors import Problem, RaytrainError, TrackingError
from raytrain.tracking.artifacts import LEFT_OUT, SENT, files_of, send
from raytrain.tracking.datasets import log_inputs
from raytrain.tracking.description import best_run_of, describe_run, describe_sweep
from raytrain.tracking.faults import explained
from raytrain.tracking.journal import NAME, Journal, has_writer, run_folders
from raytrain.tracking.replay import TAG_CHARACTERS, allowed_name, ms, replay, set_status, start_tags, text
from raytrain.tracking.run_record import RunRecord, first_start, run_record
from raytrain.tracking.store import one_at_a_time, open_client, prepare_store
from raytrain.tracking.uri import check_uri, named, page_of, sqlite_path, where_to_look, without_password

UID, LINES, CLOSED = "raytrain.uid", "raytrain.journal_lines", "raytrain.closed"
FORM, FORM_NOW = "raytrain.mirror", "2"
"""Tag: what the mirror that wrote a run sends. A run of another form is replayed from its first line."""
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
ARTIFACTS = "mlflow-artifacts"
"""Folder beside the file of a sqlite store that holds a folder of artifacts per experiment."""
_experiment_ids: dict[tuple[str, str], str] = {}
"""{(URI, experiment): its id} of what this process has mirrored."""


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


def sync(folder: str | os.PathLike[str], uri: str) -> SyncResult:
    """Bring MLflow's copy of one run or sweep up to date with its journal; a second call changes nothing.

    Args:
        folder: of the run.
        uri: of the store, as `check_uri` wants it.

    Raises:
        UsageError: a URI that names no lasting store, or MLflow is not installed.
        OSError: the journal cannot be read.
        TrackingError: MLflow did not take it; the message says why.
    """
    folder = Path(folder).resolve()
    check_uri(uri)
    if not (folder / NAME).exists():
        return SyncResult(folder, None, 0, 0, None)
    return _sync(folder, Journal(folder).read(), uri)


def _sync(folder: Path, events: list[dict[str, Any]], uri: str) -> SyncResult:
    record = run_record(folder, events)
    start = {"experiment": folder.parent.name, **record.start}
    if not record.start or not start.get("uid"):
        return SyncResult(folder, None, 0, 0, None)
    prepare_store(uri)
    with explained(uri), one_at_a_time(folder):
        client = open_client(uri)
        run = _find(client, start) or _create(client, folder, start, uri)
        if not run.info.run_id:
            raise TrackingError(f"{named(uri)}: answers something that is not MLflow's API")
        _experiment_ids[uri, start["experiment"]] = str(run.info.experiment_id)
        if start.get("parent") and PARENT not in run.data.tags:
            parent = _parent_run(client, folder, start, uri)
            if parent is not None:
                client.set_tag(run.info.run_id, PARENT, parent)
        lines = str(run.data.tags.get(LINES, 0))
        seen = int(lines) if lines.isdecimal() and run.data.tags.get(FORM) == FORM_NOW else 0
        if seen >= len(events):
            return SyncResult(folder, run.info.run_id, seen, 0, run.info.status)
        replay(client, run, events, seen)
        status = set_status(client, run, record.end)
        tags = {LINES: str(len(events)), FORM: FORM_NOW}
        if any(event["event"] != "epoch" for event in events[seen:]):
            log_inputs(client, run, events)
            tags |= _facts(client, run, record, events, uri)
        # last, so that what a kill interrupts is replayed; MLflow keeps one of two equal metrics
        _set_tags(client, run, tags)
        return SyncResult(folder, run.info.run_id, len(events), len(events) - seen, status)


def _facts(client: Any, run: Any, record: RunRecord, events: list[dict[str, Any]], uri: str) -> dict[str, str]:
    """Send the files of a run or sweep; tags with its description, its best run and what was sent.

    Tags of an earlier best run that the present one does not have are removed.
    """
    folder, start = record.folder, record.start
    files, too_large = files_of(folder, events)
    if start.get("kind") == "sweep":
        trial_run = _best_run(client, folder, start, best_run_of(events), uri)
        address = trial_run and page_of(trial_run.info.experiment_id, trial_run.info.run_id)
        note, tags = describe_sweep(events, address)
        tags |= {"best.run_id": trial_run.info.run_id} if trial_run else {}
    else:
        sweep = _sweep_by_name(folder, start) if start.get("parent") else None
        note, tags = describe_run(record, events, sweep), {}
    tags = {allowed_name(name): value for name, value in tags.items()}
    tags |= {LEFT_OUT: ", ".join(too_large)} if too_large else {}
    for name in run.data.tags:
        if (name.startswith("best.") or name == LEFT_OUT) and name not in tags:
            client.delete_tag(run.info.run_id, name)
    return tags | {NOTE: note, SENT: send(client, run, uri, files)}


def _best_run(client: Any, folder: Path, start: Mapping[str, Any], name: str | None, uri: str) -> Any:
    """MLflow's run of a sweep's best trial, which is mirrored if need be; None where there is none."""
    if name is None or Path(name).name != name:
        return None
    uid = first_start(Journal(folder.parent / name).read([])).get("uid")
    if not uid:
        return None
    best = {"experiment": start["experiment"], "uid": uid}
    trial_run = _find(client, best)
    if trial_run is None:
        sync(folder.parent / name, uri)
        trial_run = _find(client, best)
    return trial_run


def _set_tags(client: Any, run: Any, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run.info.run_id, tags=[RunTag(name, text(value, TAG_CHARACTERS)) for name, value in tags.items()])


def runs_page(uri: str, experiment: str) -> str | None:
    """How to open the runs of an experiment that this process has mirrored, as `where_to_look` says; None of others."""
    experiment_id = _experiment_ids.get((uri, experiment))
    return None if experiment_id is None else where_to_look(uri, experiment_id)


def sync_tree(
    storage: str | os.PathLike[str],
    experiment: str | None,
    uri: str,
    stale_after_s: float = 600.0,
    failed: list[Problem] | None = None,
    skipped: list[Problem] | None = None,
) -> list[SyncResult]:
    """`sync` every run of an experiment (None: of all), and close in MLflow the runs that nobody will end any more.

    A run whose journal has no end is closed as KILLED when its sweep has ended, or when its last line is older than
    `stale_after_s` and no process that wrote it is alive. If it goes on after all, the next `sync` opens it again.

    Args:
        failed: where a problem is added for each run that MLflow did not take, and the others go on.
        skipped: where a problem is added for each line and file that is left out; None discards them.

    Raises:
        UsageError: no such storage or experiment, a URI that names no lasting store, or MLflow is not installed.
        TrackingError: the store itself cannot be used; or a run was not taken, and `failed` is None.
    """
    skipped = [] if skipped is None else skipped
    folders = run_folders(storage, experiment, skipped)  # before a store is made in a storage that is not there
    prepare_store(uri)
    records: dict[Path, tuple[RunRecord, list[dict[str, Any]]]] = {}
    for folder in folders:
        events = Journal(folder).read(skipped)
        records[folder.resolve()] = run_record(folder, events), events
    ended = {record.start["uid"] for record, _ in records.values() if record.end and record.start.get("uid")}
    results = []
    for folder, (record, events) in records.items():
        try:
            result = _sync(folder, events, uri)
            if result.status == "RUNNING" and (reason := _stale(record, events, ended, stale_after_s)):
                with explained(uri):
                    client = open_client(uri)
                    client.set_tag(result.run_id, CLOSED, reason)
                    client.set_terminated(result.run_id, "KILLED", end_time=ms(events[-1]))
                result = SyncResult(folder, result.run_id, result.lines, result.new_lines, "KILLED")
            if result.run_id is not None:
                results.append(result)
        except RaytrainError as error:
            if failed is None:
                raise
            with explained(uri):
                open_client(uri).search_experiments(max_results=1)  # raises where no other run would be taken either
            problem = Problem(str(folder), None, f"not taken: {error}", "The other runs were mirrored.")
            if failed and failed[-1].what == problem.what:
                failed[-1] = replace(failed[-1], more=failed[-1].more + 1)
            else:
                failed.append(problem)
    return results


def _stale(record: RunRecord, events: list[dict[str, Any]], ended: set[str], stale_after_s: float) -> str | None:
    """Why an open run has to be closed; None of a run that may go on."""
    if record.end:
        return None
    if record.start.get("parent") in ended:
        return "its sweep has ended"
    age_s = time.time() - float(events[-1]["time"])
    if age_s > stale_after_s and not has_writer(record.folder):
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


def _create(client: Any, folder: Path, start: Mapping[str, Any], uri: str) -> Any:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(start["experiment"])
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"{named(uri)}: its experiment '{start['experiment']}' was deleted. `MLFLOW_TRACKING_URI="
            f"{without_password(uri)} mlflow experiments restore --experiment-id {experiment.experiment_id}` restores "
            "it; then `raytrain track sync` brings in what is missing"
        )
    try:
        number = experiment.experiment_id if experiment else _create_experiment(client, folder, start, uri)
    except MlflowException:  # another process was faster
        number = client.get_experiment_by_name(start["experiment"]).experiment_id
    tags = {UID: re.sub(r"[^A-Za-z0-9._-]", "", str(start["uid"]))} | start_tags(start)
    return client.create_run(number, start_time=ms(start), tags=tags, run_name=start.get("run"))


def _create_experiment(client: Any, folder: Path, start: Mapping[str, Any], uri: str) -> str:
    """The id of a new experiment. A server knows where its artifacts lie; those of a sqlite store lie beside it.

    MLflow itself would put them below whatever folder this process was started in. Their folder is named as that of the
    experiment's runs: a name out of a journal could lead elsewhere.
    """
    store = sqlite_path(uri)
    place = None if store is None else (store.parent / ARTIFACTS / folder.parent.name).as_uri()
    return str(client.create_experiment(start["experiment"], artifact_location=place))


def _sweep_by_name(folder: Path, start: Mapping[str, Any]) -> Path | None:
    """The folder of the sweep that a run belongs to, where it is the one that the run is named after."""
    sweep = folder.with_name(re.sub(r"-t\d+(-s\d+)?$", "", folder.name))
    return sweep if first_start(Journal(sweep).read([])).get("uid") == start["parent"] else None


def _parent_run(client: Any, folder: Path, start: Mapping[str, Any], uri: str) -> str | None:
    """MLflow's id of the sweep that a run belongs to; the sweep, in a folder beside it, is mirrored if need be."""
    parent = _find(client, {"experiment": start["experiment"], "uid": start["parent"]})
    if parent is not None:
        return str(parent.info.run_id)
    if sweep := _sweep_by_name(folder, start):
        return sync(sweep, uri).run_id
    for path in sorted(folder.parent.glob(f"*/{NAME}")):
        if path.parent != folder and first_start(Journal(path.parent).read([])).get("uid") == start["parent"]:
            return sync(path.parent, uri).run_id
    return None
