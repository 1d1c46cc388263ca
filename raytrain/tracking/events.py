"""The events of a journal as models: the fields that any reader uses, with their types and bounds.

A field that an earlier version did not write is optional; fields that a newer version has added are kept. A reader gets
the plain dict of a line once the line has passed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raytrain.files import field_errors
from raytrain.tracking.ensemble_record import EnsembleRecord

YEAR_10000_S = 253_402_300_800
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, lt=YEAR_10000_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Metrics = dict[str, Finite | None] | None
Scalar = str | int | float | bool | None


class Part(BaseModel):
    """A part of a line: types as JSON has them, further fields as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Config(Part):
    """The flat settings of a run, by dotted names; those named here are read by name."""

    __pydantic_extra__: dict[str, Scalar | list[Any]]

    kind: str = Field("unknown", alias="method.kind")
    views: Annotated[int, Field(ge=1, lt=2**31)] = Field(1, alias="method.views")
    select: str = Field("", alias="evaluation.select")
    val_split: str = Field("val", alias="data.val_split")
    num_epochs: Count = Field(0, alias="optim.num_epochs")


class SweepOptions(Part):
    """The options of a sweep that reviews read."""

    concurrent: Count | None = None
    resources_per_worker: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    cost: str | None = None
    trials: Count | None = None
    repeat_best: Count | None = None
    repeat_seeds: Count | None = None
    hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    gpu_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class RayIds(Part):
    """Ray's names for the driver of a sweep."""

    job: str
    node: str


class Event(Part):
    """What every line has."""

    event: str
    time: Seconds
    metrics: Metrics = None


class Start(Event):
    uid: str | None = None
    life: str | None = None
    kind: Literal["run", "sweep"] | None = None
    run: str | None = None
    experiment: str | None = None
    parent: str | None = None
    config: Config | None = None
    commit: str | None = None
    fingerprint: str | None = None
    user: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    workers: Count | None = None
    device: str | None = None
    options: SweepOptions | None = None
    space: str | None = None
    slots: Count | None = None
    ray: RayIds | None = None
    ensemble: EnsembleRecord | None = None


class Resume(Event):
    uid: str | None = None
    life: str | None = None
    epoch: Count | None = None
    slots: Count | None = None
    trials: Count | None = None
    ray: RayIds | None = None


class Epoch(Event):
    epoch: Count
    step: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class Evaluation(Event):
    split: str
    protocol: str | None = None
    rerank: dict[str, Any] | None = None
    file: str | None = None
    digest: str | None = None
    test_openings: Count | None = None
    opening: dict[str, Scalar] | None = None
    headline: str | None = None
    intervals: dict[str, Annotated[list[Finite | None], Field(min_length=2, max_length=2)]] | None = None
    interval_level: Annotated[float, Field(gt=0, lt=1)] | None = None


class Rerank(Event):
    params: dict[str, Any] | None = None
    files: dict[str, str] | None = None
    kind: str | None = None
    held_out: dict[str, dict[str, Scalar]] | None = None


class Report(Event):
    file: str


class Room(Event):
    slots: Count


class Trial(Event):
    number: Count
    run: str
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Scalar | list[Any]]
    value: Finite | None = None
    cost: Finite | None = None
    epochs: Count | None = None
    error: str | None = None


class End(Event):
    status: Literal["finished", "pruned", "failed", "interrupted", "killed"]
    error: str | None = None


EVENTS: Mapping[str, type[Event]] = {
    "start": Start,
    "resume": Resume,
    "epoch": Epoch,
    "evaluation": Evaluation,
    "rerank": Rerank,
    "room": Room,
    "trial": Trial,
    "repeat": Event,
    "cost": Event,
    "report": Report,
    "end": End,
}


def why_no_event(value: Any) -> str | None:
    """What is wrong with the value of a line, in words; None of an event."""
    if not isinstance(value, dict):
        return f"holds {_JSON_NAMES.get(type(value), 'no object')}, not an object with an event"
    name = value.get("event")
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        return f"unknown event {name!r:.60}; events: {', '.join(EVENTS)}"
    try:
        kind.model_validate(value)
    except ValidationError as error:
        return f"{name}: {'; '.join(field_errors(error)[:3])}"
    return None


_JSON_NAMES = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value"}
