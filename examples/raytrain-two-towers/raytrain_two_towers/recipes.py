"""Two towers on the embedded emoji table (`raytrain data build emoji`, then `data encode` with lite0 and minilm)."""

from __future__ import annotations

from raytrain.config import DataConfig, EncoderConfig, OptimConfig, RunConfig
from raytrain_two_towers.config import TwoTowersConfig


def two_towers_emoji() -> RunConfig:
    """Two towers on mean-pooled features, on the budget of `vse_infinity_emoji`.

    Run: `raytrain train two_towers_emoji`.
    """
    return RunConfig(
        experiment="emoji",
        data=DataConfig(table="tables/emoji"),
        encoder=EncoderConfig(dim=128, pooling="mean"),
        method=TwoTowersConfig(),
        optim=OptimConfig(lr=1e-3, batch_size=128, num_epochs=3, decay_epochs=(2,)),
    )
