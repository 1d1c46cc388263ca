"""Whole runs as functions: each returns a complete RunConfig, which overrides then change."""

from collections.abc import Callable

from raytrain.config import RunConfig
from raytrain.recipes.coco import (
    dive_coco,
    dvse_coco,
    scan_coco,
    scan_coco_i2t,
    sgraf_coco,
    sgraf_coco_saf,
    vse_infinity_coco,
)
from raytrain.recipes.emoji import dive_emoji, dvse_emoji, vse_infinity_emoji
from raytrain.recipes.flickr8k import (
    dive_flickr8k,
    dvse_flickr8k,
    scan_flickr8k,
    sgraf_flickr8k,
    vse_infinity_flickr8k,
    vse_infinity_flickr8k_bigru,
)
from raytrain.recipes.flickr30k import (
    dive_flickr30k,
    dvse_flickr30k,
    scan_flickr30k,
    scan_flickr30k_i2t,
    sgraf_flickr30k,
    sgraf_flickr30k_saf,
    vse_infinity_flickr30k,
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
        scan_coco,
        scan_coco_i2t,
        scan_flickr30k,
        scan_flickr30k_i2t,
        scan_flickr8k,
        sgraf_coco,
        sgraf_coco_saf,
        sgraf_flickr30k,
        sgraf_flickr30k_saf,
        sgraf_flickr8k,
        vse_infinity_coco,
        vse_infinity_emoji,
        vse_infinity_flickr30k,
        vse_infinity_flickr8k,
        vse_infinity_flickr8k_bigru,
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
    "scan_coco",
    "scan_coco_i2t",
    "scan_flickr8k",
    "scan_flickr30k",
    "scan_flickr30k_i2t",
    "sgraf_coco",
    "sgraf_coco_saf",
    "sgraf_flickr8k",
    "sgraf_flickr30k",
    "sgraf_flickr30k_saf",
    "vse_infinity_coco",
    "vse_infinity_emoji",
    "vse_infinity_flickr8k",
    "vse_infinity_flickr8k_bigru",
    "vse_infinity_flickr30k",
]
