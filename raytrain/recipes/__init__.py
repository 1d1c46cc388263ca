"""Whole runs as functions: each returns a complete RunConfig, which overrides then change."""

from collections.abc import Callable

from raytrain.config import RunConfig
from raytrain.recipes.coco import (
    dive_coco,
    dvse_coco,
    pcme_coco,
    pcmepp_coco,
    pvse_coco,
    vse_infinity_coco,
    vsepp_coco,
)
from raytrain.recipes.emoji import dive_emoji, dvse_emoji, vse_infinity_emoji
from raytrain.recipes.flickr8k import (
    dive_flickr8k,
    dvse_flickr8k,
    pcme_flickr8k,
    pcmepp_flickr8k,
    pvse_flickr8k,
    vse_infinity_flickr8k,
    vse_infinity_flickr8k_bigru,
    vsepp_flickr8k,
)
from raytrain.recipes.flickr30k import (
    dive_flickr30k,
    dvse_flickr30k,
    pcme_flickr30k,
    pcmepp_flickr30k,
    pvse_flickr30k,
    vse_infinity_flickr30k,
    vsepp_flickr30k,
)

RECIPES: dict[str, Callable[[], RunConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        dive_coco,
        dive_emoji,
        dive_flickr30k,
        dive_flickr8k,
        dvse_coco,
        dvse_emoji,
        dvse_flickr30k,
        dvse_flickr8k,
        pcme_coco,
        pcme_flickr30k,
        pcme_flickr8k,
        pcmepp_coco,
        pcmepp_flickr30k,
        pcmepp_flickr8k,
        pvse_coco,
        pvse_flickr30k,
        pvse_flickr8k,
        vse_infinity_coco,
        vse_infinity_emoji,
        vse_infinity_flickr30k,
        vse_infinity_flickr8k,
        vse_infinity_flickr8k_bigru,
        vsepp_coco,
        vsepp_flickr30k,
        vsepp_flickr8k,
    )
}

__all__ = [
    "RECIPES",
    "dive_coco",
    "dive_emoji",
    "dive_flickr8k",
    "dive_flickr30k",
    "dvse_coco",
    "dvse_emoji",
    "dvse_flickr8k",
    "dvse_flickr30k",
    "pcme_coco",
    "pcme_flickr8k",
    "pcme_flickr30k",
    "pcmepp_coco",
    "pcmepp_flickr8k",
    "pcmepp_flickr30k",
    "pvse_coco",
    "pvse_flickr8k",
    "pvse_flickr30k",
    "vse_infinity_coco",
    "vse_infinity_emoji",
    "vse_infinity_flickr8k",
    "vse_infinity_flickr8k_bigru",
    "vse_infinity_flickr30k",
    "vsepp_coco",
    "vsepp_flickr8k",
    "vsepp_flickr30k",
]
