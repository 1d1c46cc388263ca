"""A sweep's folder and the driver that may write to it: one at a time, for one search, after the former one is gone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig, flatten, recorded_plugins
from raytrain.errors import RefusedError, UsageError
from raytrain.files import write_json
from raytrain.sweeps.space import refuse_other
from raytrain.tracking.journal import Journal, has_writer


@contextlib.contextmanager
def claim(folder: Path, resume: bool) -> Iterator[None]:
    """Hold the sweep's folder for this driver; the lock goes with the process, however it ends.

    Raises:
        UsageError: there is nothing to resume.
        RefusedError: the folder is taken, or another driver holds it.
    """
    started = (folder / "space.json").exists()
    if resume and not started:
        known = sorted(path.parent.name for path in folder.parent.glob("*/space.json"))
        raise UsageError(f"no sweep '{folder.name}' in {folder.parent}. Sweeps there: {', '.join(known) or 'none'}.")
    if not resume and (started or Journal(folder).last("start")):
        raise RefusedError(f"{folder} exists; go on with it by --resume {folder.name}, or choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(f"{folder.name} is being run by another driver; wait for it, or stop it first") from None
        yield


def identify(folder: Path, now: dict[str, Any]) -> None:
    """Write what is searched, or compare it with what was."""
    path = folder / "space.json"
    if path.exists():
        refuse_other(json.loads(path.read_text(encoding="utf-8")), now, folder.name)
    else:
        write_json(path, now)


def open_journal(
    folder: Path, base: RunConfig, fingerprint: str, search: Mapping[str, Any], options: Mapping[str, Any], slots: int
) -> str:
    """Write the sweep's start, or its resumption once the former driver's workers are gone; its uid.

    Args:
        search: settings that a resumed sweep must share.
        options: every setting of `sweep`, which a resumption takes where it is not told otherwise.
        slots: workers that the cluster has room for now.
    """
    import ray

    from raytrain.training import provenance

    context = ray.get_runtime_context()
    here = {"job": context.get_job_id(), "node": context.get_node_id()}
    journal = Journal(folder)
    start = journal.last("start")
    if start is not None:
        wait_for_former(journal, here)
        journal.write("resume", uid=start["uid"], epoch=None, checkpoint=None, ray=here, slots=slots)
        return str(start["uid"])
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
        fingerprint=fingerprint,
        seed=search["seed"],
        workers=options["workers"],
        options=options,
        slots=slots,
        device=None,
        versions=provenance.versions(),
        ray=here,
        **recorded_plugins(base),
    )
    return uid


def wait_for_former(journal: Journal, here: Mapping[str, str], timeout_s: float = 180.0) -> None:
    """Wait until Ray has ended what a killed driver left, so that no run has two writers.

    A driver of this cluster is known by its actors. What one of another cluster left is known by the journals that it
    holds open: nodes whose head is gone train on for a minute or two.
    """
    deadline = time.monotonic() + timeout_s
    last = next((event["ray"] for event in reversed(journal.read()) if event.get("ray")), None)
    while left := [*_actors(last, here), *writers(journal.path.parent)]:
        if time.monotonic() > deadline:
            raise RefusedError(
                f"{len(left)} processes of a former driver of this sweep are still there after {timeout_s:g} s: "
                f"{', '.join(left[:5])}; stop them first"
            )
        time.sleep(1.0)


def _actors(last: Mapping[str, str] | None, here: Mapping[str, str]) -> list[str]:
    """Actors of the former driver's Ray job, where it ran in this cluster."""
    import ray
    from ray.util.state import list_actors

    live = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    if last is None or last["node"] not in live or last["job"] == here["job"]:
        return []
    address = ray.get_runtime_context().gcs_address  # a machine may have several clusters
    found = list_actors(address, filters=[("job_id", "=", last["job"])], limit=1000, detail=True)
    # Ray's own detached helpers outlive the job that happened to start them, one of them as long as the cluster
    left = [actor.class_name for actor in found if actor.state != "DEAD" and not actor.is_detached]
    return [f"{name} of Ray job {last['job']}" for name in left]


def writers(sweep: Path) -> list[str]:
    """Runs of a sweep that a process still writes to."""
    name = re.compile(rf"{re.escape(sweep.name)}-t\d+(-s\d+)?")
    runs = (path for path in sorted(sweep.parent.iterdir()) if name.fullmatch(path.name))
    return [path.name for path in runs if has_writer(path)]
