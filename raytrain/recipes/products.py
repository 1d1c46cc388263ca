"""Catalogue photos and attribute-derived triplets, on frozen EfficientNet-Lite0 and MiniLM features: small enough for a
CPU, with several targets a query.

Table: `raytrain data build products --root DIR --out TABLE`, then `raytrain data encode TABLE --backbone lite0` and
`--backbone minilm`. Images: the global vector (1,280); texts: MiniLM token states (384), averaged.
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

TABLE = "tables/products"


def rau_products() -> RunConfig:
    """RAU with two blocks a side. Further targets of a query are negatives here, as where only one is annotated.

    Theta is the quantile that leaves about as many pairs as a batch has further targets. Results: docs/log.md.
    Run: `raytrain train rau_products data.table=TABLE`.
    """
    return RunConfig(
        experiment="products",
        data=DataConfig(table=TABLE, regions="global", region_drop=0.0, word_drop=0.0),
        encoder=EncoderConfig(dim=256, pooling="mean"),
        method=RAUConfig(theta=0.998, theta_mode="quantile", dr_weight=0.01, known_positives="negative"),
        optim=OptimConfig(lr=3e-3, batch_size=512, num_epochs=5, schedule="cosine"),
    )


def combiner_products() -> RunConfig:
    """CLIP4Cir's Combiner with trained input layers, on the budget of `rau_products`; cosines times 100.

    Run: `raytrain train combiner_products data.table=TABLE`.
    """
    return _composed(composition="combiner", scale=100.0)


def tirg_products() -> RunConfig:
    """TIRG, on the budget of `rau_products`; a learned scale that starts at 16, its norm of 4 squared.

    Run: `raytrain train tirg_products data.table=TABLE`.
    """
    return _composed(composition="tirg", scale=16.0, scale_learned=True)


def sum_products() -> RunConfig:
    """Element-wise sum of reference and text, on the budget of `rau_products`.

    `method.composition=image` and `method.composition=text` show what each half of the query is worth.
    Run: `raytrain train sum_products data.table=TABLE`.
    """
    return _composed(composition="sum")


def mgur_products() -> RunConfig:
    """MGUR's loss on the fusion of RAU, on the budget of `rau_products`.

    Run: `raytrain train mgur_products data.table=TABLE`.
    """
    return _composed(composition="fusion", base_loss="multi_grained")


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
    return override(rau_products(), {"method": HalfQueriesConfig(**settings), "optim.num_epochs": 1})


def _composed(**settings: Any) -> RunConfig:
    return override(rau_products(), {"method": ComposedConfig(known_positives="negative", **settings)})
