"""COCO with BUTD regions (36 x 2,048), at the size of the papers.

Table: `raytrain data build precomp --root DIR/coco_precomp --out TABLE`.
"""

from __future__ import annotations

from raytrain.config import DVSEConfig, RunConfig
from raytrain.recipes.flickr30k import dive_flickr30k, vse_infinity_flickr30k


def vse_infinity_coco() -> RunConfig:
    """VSE-infinity, regions + BiGRU (Chen et al., CVPR 2021, table 1): 1K rsum 520.8, 5K rsum 421.9 at D 1,024.

    Run: `raytrain train vse_infinity_coco data.table=TABLE --workers 1`. Not reproduced here: it needs the released
    features and a GPU.
    """
    base = vse_infinity_flickr30k()
    data = base.data.model_copy(update={"table": "tables/coco"})
    return base.model_copy(update={"experiment": "coco", "data": data})


def dvse_coco() -> RunConfig:
    """DVSE with K = 4 under the recipe of VSE-infinity. Run: `raytrain train dvse_coco data.table=TABLE`."""
    return vse_infinity_coco().model_copy(update={"method": DVSEConfig(views=4)})


def dive_coco() -> RunConfig:
    """DivE, regions + BiGRU (Kim et al., CVPR 2023): 1K rsum 524.6, 5K rsum 430.7 for one model at D 1,024, K 4.

    The one released script: batches of 200 images with all their captions, 80 epochs; the rest as in
    `dive_flickr30k`. Run: `raytrain train dive_coco data.table=TABLE --workers 1`. Not reproduced here: it needs the
    released features and a GPU.
    """
    base = dive_flickr30k()
    data = base.data.model_copy(update={"table": "tables/coco"})
    optim = base.optim.model_copy(update={"batch_size": 200})
    return base.model_copy(update={"experiment": "coco", "data": data, "optim": optim})
