"""Who may write to a sweep's folder: one driver at a time, for one search, once the former one's workers are gone."""

from __future__ import annotations

import contextlib
import fcntl
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig, flatten, recorded_plugins
from raytrain.errors import RefusedError, UsageError, argument
from raytrain.progress import say
from raytrain.sweeps.space import refuse_other
from raytrain.tracking.journal import Journal, has_writer
from raytrain.tracking.sweep_record import LOCK, NAME, SearchIdentity


@contextlib.contextmanager
def claim(folder: Path, resume: bool) -> Iterator[None]:
    """Keep other drivers out of the sweep's folder while inside; the lock goes with the process, however it ends.

    Raises:
        UsageError: there is nothing to resume.
        RefusedError: the folder is taken, or another driver holds it.
    """
    started = (folder / NAME).exists()
    if resume and not started:
        sweeps = sorted(path.parent.name for path in folder.parent.glob(f"*/{NAME}"))
        raise UsageError(f"no sweep '{folder.name}' in {folder.parent}. Sweeps there: {', '.join(sweeps) or 'none'}.")
    if not resume and (started or Journal(folder).last("start")):
        go_on = argument("resume", folder.name)
        raise RefusedError(f"{folder} exists; go on with it by {go_on}, or choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(f"{folder.name} is being run by another driver; wait for it, or stop it first") from None
        except OSError:
            say(f"{folder}: no locks on this file system; run no second driver of this sweep")
        yield


def identify(folder: Path, now: SearchIdentity) -> None:
    """Write what is searched; in a folder that has been searched before, compare.

    Raises:
        RefusedError: the sweep was started as another search.
    """
    try:
        before = SearchIdentity.read(folder)
    except FileNotFoundError:
        now.write(folder)
    else:
        refuse_other(before, now, folder.name)


def open_journal(
    folder: Path,
    base: RunConfig,
    fingerprint: str,
    search: Mapping[str, Any],
    options: Mapping[str, Any],
    slots: int,
    space: str,
) -> str:
    """Write the sweep's start, or its resumption once the former driver's workers are gone.

    Args:
        fingerprint: of the table.
        search: settings that a resumed sweep must share.
        options: every option of `sweep`, which a resumption takes over unless it is given others.
        slots: workers that the cluster has room for now.
        space: name of the search space.

    Returns:
        The uid of the sweep.
    """
    import ray

    from raytrain.training import provenance

    context = ray.get_runtime_context()
    here = {"job": context.get_job_id(), "node": context.get_node_id()}
    journal = Journal(folder)
    start = journal.last("start")
    if start is not None:
        wait_for_former(journal, here)
        uid = str(start.get("uid") or uuid.uuid4().hex)
        journal.write("resume", uid=uid, epoch=None, checkpoint=None, ray=here, slots=slots, trials=options["trials"])
        return uid
    uid = uuid.uuid4().hex
    journal.write(
        "start",
        uid=uid,
        kind="sweep",
        run=folder.name,
        experiment=base.experiment,
        parent=None,
        config={**flatten(base), **{f"search.{key}": value for key, value in search.items()}},
        commit=provenance.commit(),
        user=provenance.user(),
        fingerprint=fingerprint,
        seed=search["seed"],
        workers=options["workers"],
        options=options,
        space=space,
        slots=slots,
        device=None,
        versions=provenance.versions(),
        ray=here,
        **recorded_plugins(base),
    )
    return uid


def wait_for_former(journal: Journal, here: Mapping[str, str], timeout_s: float = 180.0) -> None:
    """Wait until Ray has ended what a killed driver left behind, so that no run has two writers.

    A former driver of this cluster is recognised by its actors, and one of another cluster by the journals that its
    workers hold open: nodes whose head is gone go on training for a minute or two.

    Args:
        journal: of the sweep.
        here: {"job", "node"} of this driver.

    Raises:
        RefusedError: something is still there after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    former = next((event["ray"] for event in reversed(journal.read()) if event.get("ray")), None)
    while left := [*_actors(former, here), *writers(journal.path.parent)]:
        if time.monotonic() > deadline:
            raise RefusedError(
                f"{len(left)} processes of a former driver of this sweep are still there after {timeout_s:g} s: "
                f"{', '.join(left[:5])}; stop them first"
            )
        time.sleep(1.0)


def _actors(former: Mapping[str, str] | None, here: Mapping[str, str]) -> list[str]:
    """Actors of the former driver's Ray job, in words, where that driver ran in this cluster."""
    import ray
    from ray.util.state import list_actors

    live = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    if former is None or former["node"] not in live or former["job"] == here["job"]:
        return []
    address = ray.get_runtime_context().gcs_address  # a machine may have several clusters
    actors = list_actors(address, filters=[("job_id", "=", former["job"])], limit=1000, detail=True)
    # Ray's own detached helpers outlive the job that happened to start them, one of them for as long as the cluster
    left = [actor.class_name for actor in actors if actor.state != "DEAD" and not actor.is_detached]
    return [f"{name} of Ray job {former['job']}" for name in left]


def writers(sweep: Path) -> list[str]:
    """Names of a sweep's runs that a process still writes to."""
    name = re.compile(rf"{re.escape(sweep.name)}-t\d+(-s\d+)?")
    runs = (path for path in sorted(sweep.parent.iterdir()) if name.fullmatch(path.name))
    return [path.name for path in runs if has_writer(path)]
