"""Flickr8k with two frozen image encoders side by side: a plain vector, and methods over that very recipe.

Table: `raytrain data build karpathy --root DIR --out TABLE`, then `raytrain data encode TABLE --backbone lite0`, and
again with `lite2` and `minilm`. Images: the two features of the whole image (1,280 + 1,408); texts: MiniLM token states
(384), averaged. `data.image_features=lite0` takes one encoder alone.

A single vector, DVSE, MV-VSE and PCME++ each got ten trials of the search space `heads` on validation. Two of the
searches ended with the same settings, which are the best of the other two methods as well; all four have them. DivE and
MaxMatch have those of an earlier single vector. docs/log.md has the results. Recipes on the grid, with each method's
published loss: flickr8k_grid.py.
"""

from __future__ import annotations

from raytrain.config import (
    DataConfig,
    DivEConfig,
    DVSEConfig,
    MaxMatchConfig,
    MVVSEConfig,
    OptimConfig,
    PCMEPPConfig,
    RunConfig,
    VSEInfinityConfig,
    override,
)
from raytrain.recipes.heads import mlp_heads

TABLE = "tables/flickr8k"


def single_vector_flickr8k() -> RunConfig:
    """One plain vector per image and per caption: no regions, no learned pooling, no hard negatives.

    Image features and the mean of a caption's token states, each through an MLP with a linear skip (D 512), under
    InfoNCE with a learned temperature. Run: `raytrain train single_vector_flickr8k data.table=TABLE`.
    """
    return RunConfig(
        experiment="flickr8k",
        data=DataConfig(table=TABLE, image_features="lite0,lite2", regions="global", region_drop=0.0, word_drop=0.09),
        encoder=mlp_heads(image_dropout=0.46, text_dropout=0.2),
        method=VSEInfinityConfig(loss="infonce"),
        optim=OptimConfig(
            lr=1.7e-3,
            weight_decay=1e-2,
            batch_size=512,
            num_epochs=8,
            schedule="cosine",
            warmup_steps=20,
        ),
    )


def dvse_flickr8k() -> RunConfig:
    """DVSE with K = 4 in its reading dvse-r1, each view under InfoNCE, over `single_vector_flickr8k`.

    Run: `raytrain train dvse_flickr8k data.table=TABLE`.
    """
    return override(single_vector_flickr8k(), {"method": DVSEConfig(views=4, loss="infonce")})


def mv_vse_flickr8k() -> RunConfig:
    """MV-VSE with K = 4, its bounds in their smooth form without a margin, over `single_vector_flickr8k`.

    MLP views on the encoder's own pooling, as DVSE has them. Run: `raytrain train mv_vse_flickr8k data.table=TABLE`.
    """
    method = MVVSEConfig(views=4, bounds="smooth", margin=0.0, view_layer="mlp", region_pooling="encoder")
    return override(single_vector_flickr8k(), {"method": method})


def pcmepp_flickr8k() -> RunConfig:
    """PCME++ with InfoNCE beside its matching loss, over `single_vector_flickr8k`.

    Run: `raytrain train pcmepp_flickr8k data.table=TABLE`.
    """
    return override(single_vector_flickr8k(), {"method": PCMEPPConfig(infonce_weight=1.0)})


def dive_flickr8k() -> RunConfig:
    """DivE with K = 4 under InfoNCE: 100 images with all their captions a batch, D 256, two refinements.

    Slots read the 4 x 4 grids and global features of both encoders and every token state. The loss on hardest negatives
    kept them behind a single vector (docs/log.md). Run: `raytrain train dive_flickr8k data.table=TABLE`.
    """
    method = DivEConfig(
        loss="infonce", mean_warmup_epochs=1, head_dim=64, iterations=2, image_lr_scale=1.0, set_lr_scale=1.0
    )
    changes = {
        "method": method,
        "data.regions": "all",
        "encoder.dim": 256,
        "encoder.head_hidden": 256,
        "encoder.text_pool_first": False,
        "optim.batch_size": 100,
        # what a single vector had when this was tried; not searched
        "optim.lr": 1.6e-3,
        "optim.ema_decay": 0.99,
        "encoder.image_dropout": 0.3,
        "encoder.text_dropout": 0.01,
        "data.word_drop": 0.11,
    }
    return override(single_vector_flickr8k(), changes)


def maxmatch_flickr8k() -> RunConfig:
    """MaxMatch with K = 4 under InfoNCE and its own two losses, on the settings of `dive_flickr8k`.

    Run: `raytrain train maxmatch_flickr8k data.table=TABLE`.
    """
    method = MaxMatchConfig(
        loss="infonce",
        infonce_weight=1.0,
        temperature=0.05,
        temperature_learned=True,
        mean_warmup_epochs=1,
        head_dim=64,
        iterations=2,
        image_lr_scale=1.0,
        set_lr_scale=1.0,
    )
    return override(dive_flickr8k(), {"method": method})
