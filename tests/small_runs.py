"""A run small enough to train in a moment, for tests of everything around the loop."""

from __future__ import annotations

from pathlib import Path

from raytrain.config import DataConfig, DVSEConfig, EncoderConfig, OptimConfig, RunConfig
from tests.tables import make_table


def small_run(root: Path, num_epochs: int = 3, batch_size: int = 12) -> RunConfig:
    """DVSE with K = 2 on a made-up table under `root`, stored under `root`/runs."""
    table = root / "table"
    if not table.exists():
        make_table(table)
    return RunConfig(
        experiment="small",
        storage=str(root / "runs"),
        data=DataConfig(table=str(table), min_word_count=1),
        encoder=EncoderConfig(dim=16, gpo_dim=4),
        method=DVSEConfig(views=2),
        optim=OptimConfig(lr=1e-3, batch_size=batch_size, num_epochs=num_epochs, decay_epochs=()),
    )
