"""What the process that trains a run writes into the run's journal: its start or resumption, epochs and end."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytrain.config import flatten, recorded_plugins
from raytrain.distributed import rank, world_size
from raytrain.errors import Interrupted, RaytrainError, Stopped
from raytrain.tracking.journal import Journal
from raytrain.tracking.step_progress import StepProgressFile
from raytrain.training import checkpoint, provenance
from raytrain.training.initial_weights import origin_facts
from raytrain.training.memory import Estimate
from raytrain.training.train_state import TrainState


class RunLog:
    """The journal of a run, as one process that trains it writes it; ranks other than 0 write nothing.

    Args:
        folder: of the run.

    Attributes:
        life: what the journal calls the time from this start or resumption to its end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder) if rank() == 0 else None
        self.life = uuid.uuid4().hex

    def start_or_resume(
        self,
        state: TrainState,
        saved: checkpoint.Checkpoint | None,
        *,
        parent: str | None,
        fingerprint: str,
        features: Mapping[str, str],
        features_on: str,
        validation: Mapping[str, Any],
        memory: Estimate | None,
        origin: checkpoint.Checkpoint | None = None,
        left: Mapping[str, str] | None = None,
    ) -> None:
        """Write that the run starts, or that it goes on from a checkpoint.

        The line of the checkpoint's epoch is written too, where a kill came between the checkpoint and its line.

        Args:
            state: as built, or as restored.
            saved: the checkpoint that the run goes on from.
            parent: uid of the sweep that the run belongs to.
            fingerprint: of the table.
            features: {file: sha256} of the features that are read.
            features_on: "disk" or "device", where the features of the training split are read from.
            validation: what `validation_facts` says of the split that selects.
            memory: what the run is expected to hold of its share of a GPU.
            origin: the checkpoint of another run whose weights it starts with.
            left: {newer checkpoint: why the run cannot go on from it}.
        """
        if self.journal is None:
            return
        config, start = state.config, self.journal.last("start")
        if start is None:
            self.journal.write(
                "start",
                uid=uuid.uuid4().hex,
                life=self.life,
                kind="run",
                run=config.name,
                experiment=config.experiment,
                parent=parent,
                config=flatten(config),
                commit=provenance.commit(),
                user=provenance.user(),
                fingerprint=fingerprint,
                features=dict(features),
                features_verified=config.feed.verify,
                seed=config.seed,
                workers=world_size(),
                device=provenance.device_name(state.device),
                features_on=features_on,
                validation=validation,
                versions=provenance.versions(),
                parameters=sum(parameter.numel() for parameter in state.model.parameters()),
                **({"memory": memory.as_dict()} if memory else {}),
                **({"origin": origin_facts(origin)} if origin else {}),
                **recorded_plugins(config),
            )
        else:
            self.journal.write(
                "resume",
                uid=start.get("uid"),
                life=self.life,
                epoch=state.epoch,
                checkpoint=saved and saved.path.name,
                **({"left": dict(left)} if left else {}),
                features_verified=config.feed.verify,
            )
        logged_epochs = {event["epoch"] for event in self.journal.read() if event["event"] == "epoch"}
        if saved is not None and saved.manifest["metrics"] and saved.manifest["epoch"] not in logged_epochs:
            facts = saved.manifest
            self.journal.write("epoch", epoch=facts["epoch"], step=facts["step"], metrics=facts["metrics"])

    def refuse_other_life(self) -> None:
        """Raises RaytrainError where another process has gone on with the run.

        On a host that was cut off, nobody could say so to this process.
        """
        if self.journal and not self.journal.is_of(self.life):
            raise RaytrainError(f"{self.folder}: another process has gone on with this run since it was started here")

    def steps(self, state: TrainState, steps_per_epoch: int) -> contextlib.AbstractContextManager[object]:
        """While the context is open, the run's folder says how far it is within its epoch."""
        if self.journal is None:
            return contextlib.nullcontext()
        return StepProgressFile(self.folder, self.life, steps_per_epoch, lambda: (state.epoch, state.step_in_epoch))

    def epoch(self, state: TrainState, metrics: Mapping[str, float]) -> None:
        """Write the metrics of the epoch that ended."""
        if self.journal:
            self.journal.write("epoch", epoch=state.epoch, step=state.step, metrics=metrics)

    @contextlib.contextmanager
    def ending(self, state: TrainState) -> Iterator[None]:
        """Write how the run ended when the context is left, and close the journal.

        What ends it: nothing ("finished"), Interrupted or Ctrl-C ("interrupted"), any other error ("failed"). Nothing
        is written after Stopped, whose raiser writes the end, nor where another process has gone on with the run.
        """
        journal = self.journal
        try:
            yield
        except BaseException as error:
            if journal and not isinstance(error, Stopped):
                status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
                with contextlib.suppress(OSError):  # a full disk may take no last line either
                    if journal.is_of(self.life):
                        journal.write("end", status=status, error=f"{type(error).__name__}: {error}", metrics={})
            if journal:
                journal.close()
            raise
        if journal:
            journal.write("end", status="finished", error=None, metrics={"best": state.best})
            journal.close()
