"""`raytrain ensemble`: the mean of several runs' similarities as a run of its own, measured on validation.

Published tables report two models of one method so, as "+" or with a dagger. An ensemble trains nothing and holds no
weights: its journal names the members, and whoever evaluates it reads their checkpoints where they lie.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.config import flatten, method_label, method_name
from raytrain.data.table import QuerySplit, open_split
from raytrain.data.table.splits import validation_facts
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.digest import digest
from raytrain.files import room_in
from raytrain.review.charts.curves import NOT_SETTINGS
from raytrain.run_evaluation.opened_run import OpenedModel, open_model
from raytrain.scoring.ensemble import EmbeddedMember, MeanScores, mean_and_spread
from raytrain.scoring.validate import validation_metrics
from raytrain.tracking.ensemble_record import (
    MEMBERS,
    SCALES,
    EnsembleMember,
    EnsembleRecord,
    ensemble_title,
)
from raytrain.tracking.journal import NAME, Journal
from raytrain.tracking.run_record import RunRecord, read_run
from raytrain.training import checkpoint, provenance
from raytrain.training.run import checkpoint_of
from raytrain.training.similarity_cache import keep_similarity


def ensemble_runs(folders: Sequence[str | os.PathLike[str]], scale: str = "none", name: str = "") -> dict[str, Any]:
    """Average the scores of finished runs, and write the run of their mean beside the first of them.

    Only validation is read. The journal is written last and at once, so that an ensemble that was killed while it was
    made is no run.

    Args:
        folders: of two runs or more, of any methods, on one table and selected on one split of it.
        scale: "none" averages the scores as they are, "standard" each member's after subtracting its own mean and
            dividing by its own standard deviation, over all pairs of validation.
        name: of the ensemble; "" makes one from the time.

    Returns:
        {"run": its folder, "method", "select": name of the metric that chose the first member's epoch, "val": metrics
        of validation, "members": [{"run", "method", "seed", "val": that metric, "shift", "spread"}], "seconds"}

    Raises:
        UsageError: fewer than two runs, one given twice, an ensemble, no run, or no name of a folder.
        RefusedError: a run that has not finished, runs on other data or selected on other splits, a name that is
            taken, or a member whose scores are all equal.
    """
    started = time.monotonic()
    chosen = next((choice for choice in SCALES if choice == scale), None)
    if chosen is None:
        raise UsageError(f"no scale '{scale}'. Scales: {', '.join(SCALES)}")
    records = [_member(Path(folder).expanduser().resolve()) for folder in folders]
    _refuse_other_data(records)
    folder = new_folder(records[0].folder, name)
    models = [open_model(record) for record in records]
    data = models[0].saved.config.data
    split = open_split(models[0].table, data.val_split)
    embedded = [model.embed(split) for model in models]
    if scale == "standard":
        embedded = [_standardised(each, record, model.memory_mib)
                    for each, record, model in zip(embedded, records, models, strict=True)]  # fmt: skip
    mean = MeanScores(embedded)
    query, gallery = mean.positions()
    keep = models[0].saved.config.evaluation.keep_similarity
    result = validation_metrics(mean, query, gallery, split, models[0].memory_mib, keep)
    step, epochs = (sum(value) for value in zip(*((r.best_step or 0, r.epochs) for r in records), strict=True))
    with room_in(folder, "the ensemble"):
        if result.scores is not None and not isinstance(split, QuerySplit):
            keep_similarity(folder, result.scores, split, step)
        members = [_recorded(folder, *parts) for parts in zip(records, models, embedded, strict=True)]
        start = _start(folder, records, models, EnsembleRecord(scale=chosen, members=members), epochs)
        start["validation"] = validation_facts(open_split(models[0].table, data.train_split), split)
        seconds = time.monotonic() - started
        device = default_device().type
        metrics = {f"val/{key}": value for key, value in result.metrics.items()}
        metrics |= {"cost/worker_seconds": seconds, "cost/gpu_seconds": seconds if device == "cuda" else 0.0}
        _write_journal(folder, start, {"epoch": epochs, "step": step, "metrics": metrics})
    return {
        "run": str(folder),
        "method": start["config"]["method.kind"],
        "select": records[0].select,
        "val": metrics,
        "members": [
            {"run": str(record.folder), "val": record.best_metrics.get(records[0].select), **_shown(member)}
            for record, member in zip(records, members, strict=True)
        ],
        "seconds": round(seconds, 3),
    }


def _shown(member: EnsembleMember) -> dict[str, Any]:
    return member.model_dump(include={"method", "seed", "shift", "spread"})


def _member(folder: Path) -> RunRecord:
    record = read_run(folder)
    if not record.start:
        raise UsageError(f"{folder} is not the folder of a run")
    if record.status not in ("finished", "pruned"):
        raise RefusedError(f"{folder.name} has not finished; an ensemble is of finished runs")
    checkpoint_of(folder)  # refuses an ensemble
    return record


def _refuse_other_data(records: Sequence[RunRecord]) -> None:
    """Raises where the runs have no scores of the same pairs, or are fewer than two."""
    if len(records) < 2 or len({record.folder for record in records}) < len(records):
        raise UsageError("an ensemble is of two runs or more, each named once")
    first, *others = records
    for other in others:
        prints = [str(record.start.get("fingerprint"))[:12] for record in (first, other)]
        splits = [str(record.config.get("data.val_split")) for record in (first, other)]
        for what, pair in (("trained on other data: fingerprints", prints), ("selected on splits", splits)):
            if pair[0] != pair[1]:
                raise RefusedError(
                    f"{first.folder.name} and {other.folder.name} were {what} {pair[0]} and {pair[1]}; scores of "
                    "other pairs have no mean"
                )


def new_folder(first: str | os.PathLike[str], name: str = "") -> Path:
    """The folder of an ensemble beside its first member's; `name` and errors as of `ensemble_runs`."""
    name = name or f"ensemble-{time.strftime('%m%d-%H%M%S')}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name in (".", ".."):
        raise UsageError(f"--name {name}: a name has letters, digits and . _ - alone")
    folder = Path(first).expanduser().resolve().parent / name
    if os.path.lexists(folder / NAME) or checkpoint.complete(folder):
        raise RefusedError(f"{folder} holds a run; give another name")
    return folder


def _standardised(member: EmbeddedMember, record: RunRecord, memory_mib: float) -> EmbeddedMember:
    mean, spread = mean_and_spread(member, memory_mib)
    if spread <= 0:
        raise RefusedError(f"{record.folder.name} scores all pairs of validation alike; leave it out")
    return member._replace(shift=mean, spread=spread)


def _recorded(folder: Path, record: RunRecord, model: OpenedModel, embedded: EmbeddedMember) -> EnsembleMember:
    return EnsembleMember(
        run=os.path.relpath(record.folder, folder),
        uid=record.uid,
        method=method_label(method_name(record.config)).title,
        seed=model.saved.config.seed,
        commit=record.start.get("commit"),
        fingerprint=model.table.fingerprint,
        features=dict(record.start.get("features") or {}),
        checkpoint=model.saved.path.name,
        weights=model.weights,
        shift=embedded.shift,
        spread=embedded.spread,
    )


def _start(
    folder: Path, records: Sequence[RunRecord], models: Sequence[OpenedModel], ensemble: EnsembleRecord, epochs: int
) -> dict[str, Any]:
    """The fields of the "start" of the ensemble's journal; its seed is the first member's."""
    first = models[0].saved.config
    settings = flatten(first)
    shared = ("data.table", "data.train_split", "data.val_split", "evaluation.select")
    pairs = zip(ensemble.members, records, strict=True)
    members = [f"{member.method} {_settings_hash(record)}" for member, record in pairs]
    config = {
        "name": folder.name,
        "experiment": folder.parent.name,
        "seed": first.seed,
        **{field: settings[field] for field in shared},
        "data.batch_by": "query" if first.batch_by == "query" else settings["data.batch_by"],
        "optim.num_epochs": epochs,
        "method.kind": ensemble_title(sorted(member.method for member in ensemble.members)),
        MEMBERS: sorted(members),
        "ensemble.scale": ensemble.scale,
    }
    return {
        "uid": uuid.uuid4().hex,
        "life": uuid.uuid4().hex,
        "kind": "run",
        "run": folder.name,
        "experiment": folder.parent.name,
        "parent": None,
        "config": config,
        "commit": provenance.commit(),
        "user": provenance.user(),
        "fingerprint": models[0].table.fingerprint,
        "features": {file: sha for member in ensemble.members for file, sha in member.features.items()},
        "features_verified": all(record.start.get("features_verified", True) for record in records),
        "seed": first.seed,
        "workers": 1,
        "device": provenance.device_name(default_device()),
        "versions": provenance.versions(),
        "parameters": sum(parameter.numel() for model in models for parameter in model.model.parameters()),
        "ensemble": ensemble.model_dump(),
    }


def _settings_hash(record: RunRecord) -> str:
    """6 digits that are equal for runs which differ by seed alone: ensembles of other seeds are one leaderboard row."""
    settings = {name: value for name, value in record.config.items() if name not in NOT_SETTINGS}
    return digest(settings)[:6]


def _write_journal(folder: Path, start: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
    """All lines at once: before, the folder holds no run."""
    part = folder / ".part_journal"
    (part / NAME).unlink(missing_ok=True)
    journal = Journal(part)
    journal.write("start", **start)
    journal.write("epoch", **epoch)
    journal.write("end", status="finished", error=None, metrics={})
    journal.close()
    os.replace(part / NAME, folder / NAME)
    part.rmdir()
