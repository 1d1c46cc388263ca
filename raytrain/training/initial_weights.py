"""Weights that a new run starts with: those of another run's checkpoint (`optim.start_from`), and nothing else of it.

Optimizer, schedule and epochs are new. Words keep the numbers that the weights were trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from raytrain.config import RunConfig, completed, flatten
from raytrain.errors import RefusedError, UsageError
from raytrain.tracking.run_record import read_run
from raytrain.training import checkpoint

MOST_NAMED = 5
"""Fields, and tensors, that an error names."""


def open_origin(config: RunConfig) -> checkpoint.Checkpoint | None:
    """The checkpoint that a run without one of its own starts from; None where it starts with fresh weights.

    Raises:
        DataError: it is damaged.
        RefusedError: the run was started before, and the checkpoint had other weights then.
    """
    if config.optim.start_from is None:
        return None
    origin = checkpoint.load(Path(config.optim.start_from).expanduser())
    recorded = read_run(config.folder).start.get("origin")
    if isinstance(recorded, Mapping) and recorded.get("sha256") != sha256_of(origin):
        raise RefusedError(
            f"{origin.path} holds other weights than when {config.folder.name} was started from it; give another name"
        )
    return origin


def sha256_of(origin: checkpoint.Checkpoint) -> str:
    """Of the checkpoint's file of weights."""
    return origin.manifest["files"][checkpoint.WEIGHTS]


def origin_facts(origin: checkpoint.Checkpoint) -> dict[str, Any]:
    """What the journal of a run records of the checkpoint that it started from."""
    return {
        "run": origin.config.name,
        "experiment": origin.config.experiment,
        "uid": read_run(origin.path.parent).uid,
        "checkpoint": str(origin.path),
        "epoch": origin.manifest["epoch"],
        "step": origin.manifest["step"],
        "fingerprint": origin.manifest["fingerprint"],
        "sha256": sha256_of(origin),
    }


def load_weights(model: nn.Module, config: RunConfig, origin: checkpoint.Checkpoint) -> None:
    """Give the model the weights of the checkpoint.

    Raises:
        UsageError: they are those of another model; it names the fields and the tensors that differ.
    """
    tensors = misfits(model, origin.weights)
    fields = other_fields(origin.config, config)
    kinds = [field for field in fields if field.partition(" ")[0].endswith(".kind")]
    if not tensors and not kinds:
        model.load_state_dict(origin.weights)
        return
    raise UsageError(
        f"{origin.path} holds the weights of another model. Settings that differ: {_some(fields) or 'none'}. Tensors "
        f"that differ: {_some(tensors) or 'none'}. Give this run the settings of that one."
    )


def misfits(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Each tensor whose name or shape differs between a model and weights, in words."""
    wanted = model.state_dict()
    lines = []
    for name in sorted({*wanted, *weights}):
        here, there = (tuple(each[name].shape) if name in each else None for each in (wanted, weights))
        if here != there:
            lines.append(f"{name} is {_shape(here)}, was {_shape(there)}")
    return lines


def other_fields(origin: RunConfig, config: RunConfig) -> list[str]:
    """Each setting of method and encoder that differs between two runs, in words."""
    was, now = completed(flatten(origin)), completed(flatten(config))
    names = [name for name in sorted({*was, *now}) if name.startswith(("method.", "encoder."))]
    return [
        f"{name} is {now.get(name, 'absent')}, was {was.get(name, 'absent')}"
        for name in names
        if was.get(name) != now.get(name)
    ]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "a number"


def _some(lines: list[str]) -> str:
    more = f", and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    return ", ".join(lines[:MOST_NAMED]) + more
