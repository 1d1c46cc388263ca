"""Flickr8k with two frozen image encoders side by side: a plain vector, and methods over that very recipe.

Table: `raytrain data build karpathy --root DIR --out TABLE`, then `raytrain data encode TABLE --backbone lite0`, and
again with `lite2` and `minilm`. Images: the two features of the whole image (1,280 + 1,408); texts: MiniLM token states
(384), averaged. `data.image_features=lite0` takes one encoder alone.

Each method got ten trials of the search space `heads` on validation, the first of them the settings of
`single_vector_flickr8k` as they were before; results are in docs/log.md. Recipes on the grid: flickr8k_grid.py.
"""

from __future__ import annotations

from raytrain.config import (
    DataConfig,
    DVSEConfig,
    EncoderConfig,
    OptimConfig,
    RunConfig,
    VSEInfinityConfig,
    override,
)

TABLE = "tables/flickr8k"


def single_vector_flickr8k() -> RunConfig:
    """One plain vector per image and per caption: no regions, no learned pooling, no hard negatives.

    Image features and the mean of a caption's token states, each through an MLP with a linear skip (D 512), under
    InfoNCE with a learned temperature. Run: `raytrain train single_vector_flickr8k data.table=TABLE`.
    """
    return RunConfig(
        experiment="flickr8k",
        data=DataConfig(table=TABLE, image_features="lite0,lite2", regions="global", region_drop=0.0, word_drop=0.11),
        encoder=EncoderConfig(
            dim=512,
            pooling="mean",
            image_head="mlp",
            text_head="mlp",
            head_hidden=512,
            head_activation="gelu",
            image_dropout=0.3,
            text_dropout=0.01,
            text_pool_first=True,
        ),
        method=VSEInfinityConfig(loss="infonce"),
        optim=OptimConfig(
            lr=1.6e-3,
            weight_decay=1e-2,
            batch_size=512,
            num_epochs=8,
            schedule="cosine",
            warmup_steps=20,
            ema_decay=0.99,
        ),
    )


def dvse_flickr8k() -> RunConfig:
    """DVSE with K = 4 in its reading dvse-r1, each view under InfoNCE, over `single_vector_flickr8k`.

    Run: `raytrain train dvse_flickr8k data.table=TABLE`.
    """
    changes = {
        "method": DVSEConfig(views=4, loss="infonce"),
        "optim.lr": 4.5e-3,
        "encoder.text_dropout": 0.11,
        "data.word_drop": 0.013,
    }
    return override(single_vector_flickr8k(), changes)
