"""Tiny runs on the small table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytrain.config import DataConfig, DVSEConfig, EncoderConfig, OptimConfig, RunConfig, override
from raytrain.data.table import Table


def tiny(table: Table, storage: Path, **changes: Any) -> RunConfig:
    """A DVSE run of two epochs of three steps; `changes` with "__" for the dots of a name."""
    config = RunConfig(
        name="tiny",
        storage=str(storage),
        data=DataConfig(table=str(table.path), min_word_count=1),
        encoder=EncoderConfig(dim=8, gpo_dim=4),
        method=DVSEConfig(views=2),
        optim=OptimConfig(lr=1e-3, batch_size=20, num_epochs=2, decay_epochs=()),
    )
    return override(config, {name.replace("__", "."): value for name, value in changes.items()})
