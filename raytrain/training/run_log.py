"""How a run's journal begins a life of it: a start, or a resumption."""

from __future__ import annotations

import uuid

from raytrain.config import flatten, recorded_plugins
from raytrain.distributed import world_size
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint, provenance
from raytrain.training.memory import Estimate
from raytrain.training.train_state import TrainState


def log_start_or_resume(
    journal: Journal | None,
    run: TrainState,
    saved: checkpoint.Checkpoint | None,
    parent: str | None,
    memory: Estimate | None,
) -> str:
    """The run's start or resumption, and the epoch of the checkpoint where a kill came before its line.

    Returns:
        What the journal calls the life of the run that begins here.
    """
    life = uuid.uuid4().hex
    if journal is None:
        return life
    config, start = run.config, journal.last("start")
    if start is None:
        journal.write(
            "start",
            uid=uuid.uuid4().hex,
            life=life,
            kind="run",
            run=config.name,
            experiment=config.experiment,
            parent=parent,
            config=flatten(config),
            commit=provenance.commit(),
            fingerprint=run.val.table.fingerprint,
            seed=config.seed,
            workers=world_size(),
            device=provenance.device_name(run.device),
            features_on=run.features_on,
            versions=provenance.versions(),
            parameters=sum(parameter.numel() for parameter in run.model.parameters()),
            **({"memory": memory.as_dict()} if memory else {}),
            **recorded_plugins(config),
        )
    else:
        journal.write("resume", uid=start["uid"], life=life, epoch=run.epoch, checkpoint=saved and saved.path.name)
    told = {event["epoch"] for event in journal.read() if event["event"] == "epoch"}
    if saved is not None and saved.manifest["metrics"] and saved.manifest["epoch"] not in told:
        journal.write(
            "epoch", epoch=saved.manifest["epoch"], step=saved.manifest["step"], metrics=saved.manifest["metrics"]
        )
    return life
