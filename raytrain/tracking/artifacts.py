"""Files of a run that MLflow gets: its settings, its evaluations, and what was searched. Small ones, and no ranks.

The journal names them. What MLflow has of them is written in a tag of its run, so that a file is sent once, again when
it has changed, and removed when the run has it no longer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from raytrain.config import nested
from raytrain.errors import DataError, UsageError
from raytrain.evaluation.contact_sheet import page_file, read_sheet
from raytrain.evaluation.digest import digest
from raytrain.files import parse_json, read_regular
from raytrain.tracking import sweep_record
from raytrain.tracking.run_record import first_start

SENT, LEFT_OUT = "raytrain.artifacts", "raytrain.artifacts_left_out"
"""Tags: {file: first digits of its sha256} of what MLflow has, and the files that are too large."""
MAX_FILE_BYTES, MAX_FILES = 2**21, 64
REPORT = "report.html"
"""Page of a run or sweep, in its folder."""
RERANK_FILES = {"rerank": ("rerank.json", "rerank.svg"), "inductive": ("rerank.inductive.json", "rerank.inductive.svg")}


def files_of(folder: Path, events: Sequence[Mapping[str, Any]]) -> tuple[dict[str, bytes], list[str]]:
    """{path in MLflow: content} of what a run's journal names, and the names of files that are too large.

    An evaluation file that is not the one that the journal recorded is left out, as the leaderboard does.

    Args:
        folder: of the run or sweep.
        events: of its journal.
    """
    start = first_start(events)
    files: dict[str, bytes] = {}
    config = {name: value for name, value in (start.get("config") or {}).items() if not name.startswith("search.")}
    with contextlib.suppress(UsageError):
        plugins = {"plugins": start["plugins"]} if start.get("plugins") else {}
        files["config.yaml"] = str(yaml.safe_dump(nested(config) | plugins, sort_keys=False)).encode()
    evaluations: dict[str, str | None] = {}
    names: dict[str, str | None] = {sweep_record.NAME: None} if start.get("kind") == "sweep" else {}
    for event in events:
        if event["event"] == "evaluation" and event.get("metrics") and event.get("file"):
            evaluations[str(event["file"])] = event.get("digest")
        elif event["event"] == "rerank" and event.get("files"):
            evaluations |= event["files"]
            names |= dict.fromkeys(RERANK_FILES.get(str(event.get("kind") or "rerank"), ()))
        elif event["event"] == "report" and event["file"] == REPORT:
            names[REPORT] = None
    names |= {f"evaluation/{name}": digest for name, digest in evaluations.items() if Path(name).name == name}
    too_large = []
    for name, recorded in names.items():
        with contextlib.suppress(OSError, ValueError):
            if len(files) == MAX_FILES or (folder / name).stat().st_size > MAX_FILE_BYTES:
                too_large.append(name)
                continue
            content = read_regular(folder / name)
            document = None if recorded is None else parse_json(content)
            if recorded is None or (isinstance(document, dict) and digest(document) == recorded):
                files[name] = content
    for name in [name for name in files if name.startswith("evaluation/")]:
        page = page_file(folder / name)
        with contextlib.suppress(OSError, ValueError, DataError):
            shows = read_sheet({**parse_json(files[name]), "file": folder / name}) is not None
            if shows and page.stat().st_size <= MAX_FILE_BYTES and len(files) < MAX_FILES:
                files[f"evaluation/{page.name}"] = read_regular(page)
    return files, too_large


def send(client: Any, run: Any, uri: str, files: Mapping[str, bytes]) -> str:
    """Bring MLflow's files of a run to these, all that are new in one go; returns the value of the tag SENT.

    Args:
        run: as MLflow gave it.
        uri: of the store.
        files: {path: content}.
    """
    wanted = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in sorted(files.items())}
    try:
        there = json.loads(run.data.tags.get(SENT, "{}"))
    except ValueError:
        there = {}
    changed = [name for name, digest in wanted.items() if there.get(name) != digest]
    if changed:
        with tempfile.TemporaryDirectory(prefix="raytrain-") as place:
            for name in changed:
                path = Path(place) / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(files[name])
            client.log_artifacts(run.info.run_id, place)
    if removed := there.keys() - wanted.keys():
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
        for name in removed:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                continue  # anyone may write a tag, and this one would remove files that are no artifacts
            repository.delete_artifacts(name)
    return json.dumps(wanted)
