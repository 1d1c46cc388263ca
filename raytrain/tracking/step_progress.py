"""How far a run is within an epoch: a small file that its first rank replaces every few seconds, and screens read.

The journal has a line per epoch, and an epoch may take an hour. The file holds nothing that a result depends on: it is
written by a thread, beside the steps, and what cannot be written is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from raytrain.background import Background
from raytrain.errors import DataError
from raytrain.files import read_model, write_json

NAME = "progress.json"
INTERVAL_S = 5.0


class StepProgress(BaseModel):
    """Where a run stands.

    Args:
        life: of the process that trains, as its start or resumption in the journal names it.
        epochs: that are done.
        step, steps: done in the epoch that is trained, and in an epoch; no step is done while the run validates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    life: str
    epochs: NonNegativeInt
    step: NonNegativeInt
    steps: NonNegativeInt

    def __str__(self) -> str:
        """ "epoch 3, step 40 of 120"."""
        if self.step == 0 and self.epochs:
            return f"epoch {self.epochs}, after its last step"
        return f"epoch {self.epochs + 1}, step {self.step} of {self.steps}"


def read_step_progress(folder: Path, life: str | None) -> StepProgress | None:
    """Where the run in a folder stands; None where this is not written, or is of another life.

    Args:
        folder: of the run.
        life: the run's present one, as its journal names it.
    """
    try:
        progress = read_model(folder / NAME, StepProgress, "")
    except (FileNotFoundError, DataError):
        return None
    return progress if progress.life == life else None


class StepProgressFile(Background):
    """Writes where a run stands while the context is open, and removes the file at its end.

    Args:
        folder: of the run.
        life: as in StepProgress.
        steps: of an epoch.
        position: returns the epochs that are done and the steps done since; called from another thread.
        interval_s: seconds between two looks at the position.
    """

    def __init__(
        self,
        folder: Path,
        life: str,
        steps: int,
        position: Callable[[], tuple[int, int]],
        interval_s: float = INTERVAL_S,
    ) -> None:
        super().__init__("step progress", interval_s)
        self.path, self.life, self.steps, self.position = folder / NAME, life, steps, position
        self._written: StepProgress | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def look(self) -> bool:
        epochs, step = self.position()
        progress = StepProgress(life=self.life, epochs=epochs, step=step, steps=self.steps)
        if progress != self._written:
            with contextlib.suppress(OSError):
                write_json(self.path, progress.model_dump())
                self._written = progress
        return True
