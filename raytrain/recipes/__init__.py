"""Whole runs as functions: each returns a complete RunConfig, which overrides then change."""

from collections.abc import Callable

from raytrain.config import RunConfig
from raytrain.recipes.cirr import combiner_cirr, rau_cirr
from raytrain.recipes.coco import dive_coco, dvse_coco, vse_infinity_coco
from raytrain.recipes.emoji import dive_emoji, dvse_emoji, rau_emoji, sum_emoji, vse_infinity_emoji
from raytrain.recipes.fashion_iq import combiner_fashion_iq, rau_fashion_iq
from raytrain.recipes.flickr8k import dive_flickr8k, dvse_flickr8k, vse_infinity_flickr8k, vse_infinity_flickr8k_bigru
from raytrain.recipes.flickr30k import dive_flickr30k, dvse_flickr30k, vse_infinity_flickr30k
from raytrain.recipes.products import (
    combiner_products,
    mgur_products,
    rau_products,
    sum_products,
    tirg_products,
)

RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        combiner_cirr,
        combiner_fashion_iq,
        combiner_products,
        dive_coco,
        dive_emoji,
        dive_flickr30k,
        dive_flickr8k,
        dvse_coco,
        dvse_emoji,
        dvse_flickr30k,
        dvse_flickr8k,
        mgur_products,
        rau_cirr,
        rau_emoji,
        rau_fashion_iq,
        rau_products,
        sum_emoji,
        sum_products,
        tirg_products,
        vse_infinity_coco,
        vse_infinity_emoji,
        vse_infinity_flickr30k,
        vse_infinity_flickr8k,
        vse_infinity_flickr8k_bigru,
    )
}

__all__ = [
    "RECIPES",
    "combiner_cirr",
    "combiner_fashion_iq",
    "combiner_products",
    "dive_coco",
    "dive_emoji",
    "dive_flickr8k",
    "dive_flickr30k",
    "dvse_coco",
    "dvse_emoji",
    "dvse_flickr8k",
    "dvse_flickr30k",
    "mgur_products",
    "rau_cirr",
    "rau_emoji",
    "rau_fashion_iq",
    "rau_products",
    "sum_emoji",
    "sum_products",
    "tirg_products",
    "vse_infinity_coco",
    "vse_infinity_emoji",
    "vse_infinity_flickr8k",
    "vse_infinity_flickr8k_bigru",
    "vse_infinity_flickr30k",
]
