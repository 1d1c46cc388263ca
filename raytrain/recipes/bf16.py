"""The papers' recipes at their sizes for a GPU with bfloat16: Ampere, Hopper and later.

Encoders are computed in bfloat16; scores, losses and normalisations stay in float32 (docs/gpu.md), weights and their
averages too. Nothing else differs from the recipe that a name begins with: so do what to expect, size and number of
steps. RAU's recipes `rau_cirr` and `rau_fashion_iq` are in bfloat16 themselves. None of these was trained here, since
no GPU was available; memory on a CPU says little about one.
"""

from __future__ import annotations

from raytrain.config import RunConfig, override
from raytrain.recipes.coco import dive_coco, dvse_coco, pcmepp_coco, vse_infinity_coco
from raytrain.recipes.flickr30k import dive_flickr30k, dvse_flickr30k, pcmepp_flickr30k, vse_infinity_flickr30k


def vse_infinity_flickr30k_bf16() -> RunConfig:
    """VSE-infinity as in `vse_infinity_flickr30k`. Run: `raytrain train vse_infinity_flickr30k_bf16 --workers 1`."""
    return _bf16(vse_infinity_flickr30k())


def dvse_flickr30k_bf16() -> RunConfig:
    """DVSE as in `dvse_flickr30k`. Run: `raytrain train dvse_flickr30k_bf16 data.table=TABLE --workers 1`."""
    return _bf16(dvse_flickr30k())


def dive_flickr30k_bf16() -> RunConfig:
    """DivE as in `dive_flickr30k`, which has fp16. Run: `raytrain train dive_flickr30k_bf16 data.table=TABLE`."""
    return _bf16(dive_flickr30k())


def pcmepp_flickr30k_bf16() -> RunConfig:
    """PCME++ as in `pcmepp_flickr30k`. Run: `raytrain train pcmepp_flickr30k_bf16 data.table=TABLE`."""
    return _bf16(pcmepp_flickr30k())


def vse_infinity_coco_bf16() -> RunConfig:
    """VSE-infinity as in `vse_infinity_coco`. Run: `raytrain train vse_infinity_coco_bf16 data.table=TABLE`."""
    return _bf16(vse_infinity_coco())


def dvse_coco_bf16() -> RunConfig:
    """DVSE as in `dvse_coco`. Run: `raytrain train dvse_coco_bf16 data.table=TABLE`."""
    return _bf16(dvse_coco())


def dive_coco_bf16() -> RunConfig:
    """DivE as in `dive_coco`, which has fp16. Run: `raytrain train dive_coco_bf16 data.table=TABLE`."""
    return _bf16(dive_coco())


def pcmepp_coco_bf16() -> RunConfig:
    """PCME++ as in `pcmepp_coco`. Run: `raytrain train pcmepp_coco_bf16 data.table=TABLE`."""
    return _bf16(pcmepp_coco())


def _bf16(recipe: RunConfig) -> RunConfig:
    return override(recipe, {"optim.precision": "bf16"})
