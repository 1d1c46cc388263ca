"""Runs small enough to train in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytrain.config import DataConfig, DVSEConfig, EncoderConfig, OptimConfig, RunConfig, override
from raytrain.data.table import Table
from tests.tables import make_table


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


def small_run(root: Path, num_epochs: int = 3, batch_size: int = 12) -> RunConfig:
    """A DVSE run on a made-up table under `root`, stored under `root`/runs, without a name."""
    folder = root / "table"
    table = Table(folder) if folder.exists() else make_table(folder)
    changes = {"name": "", "experiment": "small", "encoder__dim": 16}
    return tiny(table, root / "runs", **changes, optim__batch_size=batch_size, optim__num_epochs=num_epochs)


def fit_here(config: RunConfig, **options: Any) -> dict[str, float]:
    """`fit` on the config's own tables, in this process."""
    from raytrain.training.fit import fit
    from raytrain.training.run import open_tables

    return fit(config, open_tables(config), **options)
