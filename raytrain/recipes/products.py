"""Catalogue photos and attribute-derived triplets, on two frozen image encoders and MiniLM: several targets per query.

Table: `raytrain data build products --root DIR --out TABLE`, then `raytrain data encode TABLE --backbone lite0`, and
again with `lite2` and `minilm`. Images: the two global vectors (1,280 + 1,408); texts: MiniLM token states (384),
averaged; each through an MLP with a linear skip. `data.image_features=lite0` takes one encoder alone.

The search space `heads` got ten trials around `rau_products`, and ten around TIRG; the sum, MGUR and the half-queries
take the settings of the first as they are. The Combiner, which these do not suit and which no search was made for, has
Lite0 alone and one linear layer per input, as `rau_products_linear` has.
"""

from __future__ import annotations

from typing import Any

from raytrain.config import (
    ComposedConfig,
    DataConfig,
    EncoderConfig,
    HalfQueriesConfig,
    OptimConfig,
    RAUConfig,
    RunConfig,
    override,
)
from raytrain.recipes.heads import mlp_heads

TABLE = "tables/products"


def rau_products() -> RunConfig:
    """InfoNCE on RAU's fusion, without its three uncertainty losses.

    None of them gains here: together they cost 4 points of R@1 and of R@10, DR alone 3 and 2, ISU or CSU alone about 1
    (docs/studies/rau_components.md; weights as of `rau_products_all`, which has all three). Further targets of a query
    are negatives, as where only one is annotated.
    Run: `raytrain train rau_products data.table=TABLE`.
    """
    return override(rau_products_all(), {"method.isu_weight": 0.0, "method.csu_weight": 0.0, "method.dr_weight": 0.0})


def rau_products_all() -> RunConfig:
    """RAU with its three losses and two blocks per side, as its abstract has it.

    Theta is the quantile that leaves about as many pairs as a batch has further targets.
    Run: `raytrain train rau_products_all data.table=TABLE`.
    """
    return RunConfig(
        experiment="products",
        data=DataConfig(table=TABLE, image_features="lite0,lite2", regions="global", region_drop=0.0, word_drop=0.0),
        encoder=mlp_heads(image_dropout=0.2, text_dropout=0.2),
        method=RAUConfig(theta=0.998, theta_mode="quantile", dr_weight=0.01, known_positives="negative"),
        optim=OptimConfig(lr=3e-3, weight_decay=1e-2, batch_size=512, num_epochs=5, schedule="cosine", ema_decay=0.99),
    )


def rau_products_linear() -> RunConfig:
    """`rau_products_all` on Lite0 alone with one linear layer per input: a run takes a minute on one core.

    Run: `raytrain train rau_products_linear data.table=TABLE`.
    """
    changes = {
        "data.image_features": "lite0",
        "encoder": EncoderConfig(dim=256, pooling="mean"),
        "optim.weight_decay": 1e-4,
        "optim.ema_decay": 0.0,
    }
    return override(rau_products_all(), changes)


def combiner_products() -> RunConfig:
    """CLIP4Cir's Combiner with trained input layers, on the budget of `rau_products_linear`; cosines times 100.

    Worse by 29 points under the settings of `rau_products` (docs/log.md). Run: `raytrain train combiner_products
    data.table=TABLE`.
    """
    return _composed(rau_products_linear(), composition="combiner", scale=100.0)


def tirg_products() -> RunConfig:
    """TIRG, on the budget of `rau_products`, by its own settings; a learned scale starts at 16, its norm of 4 squared.

    Run: `raytrain train tirg_products data.table=TABLE`.
    """
    changes = {
        "optim.lr": 7e-4,
        "optim.ema_decay": 0.0,
        "encoder.image_dropout": 0.06,
        "encoder.text_dropout": 0.35,
        "data.word_drop": 0.18,
    }
    return override(_composed(rau_products(), composition="tirg", scale=16.0, scale_learned=True), changes)


def sum_products() -> RunConfig:
    """Element-wise sum of reference and text, on the budget of `rau_products`.

    `method.composition=image` and `method.composition=text` show what each half of the query is worth.
    Run: `raytrain train sum_products data.table=TABLE`.
    """
    return _composed(rau_products(), composition="sum")


def mgur_products() -> RunConfig:
    """MGUR's loss on the fusion of RAU, on the budget of `rau_products`.

    Run: `raytrain train mgur_products data.table=TABLE`.
    """
    return _composed(rau_products(), composition="fusion", base_loss="multi_grained")


def half_sum_products() -> RunConfig:
    """Cosines of the reference and of the text with an image, added; one epoch collects what the ridge map needs.

    No gradient is taken, so learning rate and schedule decide nothing. Run: `raytrain train half_sum_products
    data.table=TABLE`.
    """
    return _half_queries(halves="half_sum")


def half_product_products() -> RunConfig:
    """The cosines of `half_sum_products`, min-max scaled and multiplied.

    Run: `raytrain train half_product_products data.table=TABLE`.
    """
    return _half_queries(halves="half_product")


def _half_queries(**settings: Any) -> RunConfig:
    changes = {"method": HalfQueriesConfig(**settings), "optim.num_epochs": 1, "optim.ema_decay": 0.0}
    return override(rau_products(), changes)


def _composed(base: RunConfig, **settings: Any) -> RunConfig:
    return override(base, {"method": ComposedConfig(known_positives="negative", **settings)})
