"""The embedded default: Twemoji graphics against their names and keywords, built from packages alone.

Table: `raytrain data build emoji --out TABLE`, then `raytrain data encode TABLE --backbone lite0` and `--backbone
minilm`; `raytrain demo` does all of it. It shows the whole road in minutes and is no benchmark.
"""

from __future__ import annotations

from raytrain.config import (
    ComposedConfig,
    DataConfig,
    DivEConfig,
    DVSEConfig,
    EncoderConfig,
    OptimConfig,
    RAUConfig,
    RunConfig,
    VSEInfinityConfig,
    override,
)

TABLE = "tables/emoji"


def vse_infinity_emoji() -> RunConfig:
    """VSE-infinity, one vector an image. Run: `raytrain train vse_infinity_emoji`."""
    return RunConfig(
        experiment="emoji",
        data=DataConfig(table=TABLE),
        encoder=EncoderConfig(dim=128),
        method=VSEInfinityConfig(),
        optim=OptimConfig(lr=1e-3, batch_size=128, num_epochs=3, decay_epochs=(2,)),
    )


def dvse_emoji() -> RunConfig:
    """DVSE with K = 4. Run: `raytrain train dvse_emoji`."""
    return override(vse_infinity_emoji(), {"method": DVSEConfig(views=4)})


def dive_emoji() -> RunConfig:
    """DivE with K = 4: images with all their names, eight epochs. Run: `raytrain train dive_emoji`."""
    changes = {
        "method": DivEConfig(head_dim=64, image_lr_scale=1.0, set_lr_scale=1.0),
        "optim": OptimConfig(lr=5e-4, batch_size=64, num_epochs=8, schedule="cosine", clip_norm=1.0),
    }
    return override(vse_infinity_emoji(), changes)


def rau_emoji() -> RunConfig:
    """RAU on graphics that differ in one attribute: tone, gender, hair, direction or colour.

    Table: `raytrain data build emoji_triplets --out TABLE`, encoded as above. Run: `raytrain train rau_emoji`.
    """
    return RunConfig(
        experiment="emoji_triplets",
        data=DataConfig(table="tables/emoji_triplets", region_drop=0.0, word_drop=0.0),
        encoder=EncoderConfig(dim=128, pooling="mean"),
        method=RAUConfig(theta=0.99, theta_mode="quantile"),
        optim=OptimConfig(lr=1e-3, batch_size=256, num_epochs=5, schedule="cosine"),
    )


def sum_emoji() -> RunConfig:
    """Element-wise sum of reference and text, on the budget of `rau_emoji`. Run: `raytrain train sum_emoji`."""
    return override(rau_emoji(), {"method": ComposedConfig(composition="sum")})
