"""What the journal of an ensemble says of its members: which runs are averaged, with which weights, on which scale."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scale = Literal["none", "standard"]
SCALES: tuple[Scale, ...] = ("none", "standard")
MEMBERS = "ensemble.members"
"""The setting by which the flat settings of an ensemble differ from those of a trained run."""
Finite = Annotated[float, Field(allow_inf_nan=False)]


class EnsembleMember(BaseModel):
    """One run of an ensemble. Fields that a newer version has added are kept.

    Args:
        run: its folder, relative to that of the ensemble.
        uid: of the run.
        method: its title.
        seed: it was trained with.
        commit: it was trained at.
        fingerprint: of its table.
        features: {file: sha256} of the features that it reads.
        checkpoint: its best one.
        weights: sha256 of that one's weights.
        shift, spread: a score s of its own counts as (s - shift) / spread.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    run: str
    uid: str | None
    method: str
    seed: int
    commit: str | None
    fingerprint: str
    features: dict[str, str]
    checkpoint: str
    weights: str
    shift: Finite = 0.0
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class EnsembleRecord(BaseModel):
    """The members of an ensemble and the scale of their scores; in the "start" of its journal as `ensemble`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    scale: Scale
    members: Annotated[list[EnsembleMember], Field(min_length=2)]

    @property
    def weights(self) -> str:
        """Hash of what scores with it depend on, which stands for the hash of a run's weights."""
        parts = [[member.weights, member.shift, member.spread] for member in self.members]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def ensemble_of(start: Mapping[str, Any]) -> EnsembleRecord | None:
    """The record in a journal's "start"; None of a run that was trained."""
    recorded = start.get("ensemble")
    return None if recorded is None else EnsembleRecord.model_validate(recorded)


def member_folders(folder: Path, record: EnsembleRecord) -> list[Path]:
    """The members' folders, as they lie from the ensemble's."""
    return [(folder / member.run).resolve() for member in record.members]


def ensemble_title(methods: Iterable[str]) -> str:
    """ "ensemble of 3: 2 DVSE, DivE": how tables name the method of an ensemble.

    Args:
        methods: titles of the members' methods.
    """
    counts = Counter(methods)
    named = (f"{count} {title}" if count > 1 else title for title, count in counts.items())
    return f"ensemble of {counts.total()}: {', '.join(named)}"
