"""Whole runs as functions: each returns a complete RunConfig, which overrides then change."""

from collections.abc import Callable

from raytrain.config import RunConfig
from raytrain.recipes.coco import dive_coco, dvse_coco, vse_infinity_coco
from raytrain.recipes.cub import dive_cub, dvse_cub, vse_infinity_cub
from raytrain.recipes.emoji import dive_emoji, dvse_emoji, vse_infinity_emoji
from raytrain.recipes.flickr8k import dive_flickr8k, dvse_flickr8k, vse_infinity_flickr8k, vse_infinity_flickr8k_bigru
from raytrain.recipes.flickr30k import dive_flickr30k, dvse_flickr30k, vse_infinity_flickr30k

RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        dive_coco,
        dive_cub,
        dive_emoji,
        dive_flickr30k,
        dive_flickr8k,
        dvse_coco,
        dvse_cub,
        dvse_emoji,
        dvse_flickr30k,
        dvse_flickr8k,
        vse_infinity_coco,
        vse_infinity_cub,
        vse_infinity_emoji,
        vse_infinity_flickr30k,
        vse_infinity_flickr8k,
        vse_infinity_flickr8k_bigru,
    )
}

__all__ = [
    "RECIPES",
    "dive_coco",
    "dive_cub",
    "dive_emoji",
    "dive_flickr8k",
    "dive_flickr30k",
    "dvse_coco",
    "dvse_cub",
    "dvse_emoji",
    "dvse_flickr8k",
    "dvse_flickr30k",
    "vse_infinity_coco",
    "vse_infinity_cub",
    "vse_infinity_emoji",
    "vse_infinity_flickr8k",
    "vse_infinity_flickr8k_bigru",
    "vse_infinity_flickr30k",
]
