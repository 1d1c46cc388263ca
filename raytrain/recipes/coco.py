"""COCO with BUTD regions (36 x 2,048), at the size of the papers.

Table: `raytrain data build precomp --root DIR/coco_precomp --out TABLE test=testall dev_images=1000`. None of these was
trained here: they need the released features and a GPU. Memory is that of `raytrain train RECIPE --dry-run
optim.precision=fp32 --assume words=11353` on a CPU, the whole process, 0.27 GB of it before the model is built; steps
are counted from 113,287 images with five captions. Seconds a step on your machine: `raytrain train RECIPE --dry-run`.
"""

from __future__ import annotations

from raytrain.config import DVSEConfig, RunConfig, override
from raytrain.recipes.flickr30k import (
    caan_flickr30k,
    dive_flickr30k,
    imram_flickr30k,
    imram_flickr30k_i2t,
    naaf_flickr30k,
    pcme_flickr30k,
    pcmepp_flickr30k,
    pvse_flickr30k,
    scan_flickr30k,
    scan_flickr30k_i2t,
    sgraf_flickr30k,
    sgraf_flickr30k_saf,
    vse_infinity_flickr30k,
    vsepp_flickr30k,
    vsrn_flickr30k,
)


def vse_infinity_coco() -> RunConfig:
    """VSE-infinity, regions + BiGRU (Chen et al., CVPR 2021, table 1): 1K rsum 520.8, 5K rsum 421.9 at D 1,024.

    Hyper-parameters as in `vse_infinity_flickr30k`: AdamW 5e-4, weight decay 1e-4, batches of 128 pairs, 25 epochs, /10
    at 15, clip 2, margin 0.2, all negatives in the first epoch, a fifth of regions and words dropped. Size: 15.25 M
    parameters; 1.07 GB at most in a step. Cost: about 110,600 steps.
    Run: `raytrain train vse_infinity_coco data.table=TABLE --workers 1`.
    """
    return _on_coco(vse_infinity_flickr30k())


def dvse_coco() -> RunConfig:
    """DVSE with K = 4 under the recipe of VSE-infinity; the paper's tables could not be read.

    To expect: more than 520.8 (1K) and 421.9 (5K), VSE-infinity's rsums on the same features. Size: 19.98 M parameters;
    1.65 GB at most in a step. Cost: about 110,600 steps. Run: `raytrain train dvse_coco data.table=TABLE`.
    """
    return override(vse_infinity_coco(), {"method": DVSEConfig(views=4)})


def dive_coco() -> RunConfig:
    """DivE, regions + BiGRU (Kim et al., CVPR 2023): 1K rsum 524.6, 5K rsum 430.7 for one model at D 1,024, K 4.

    The one released script: batches of 200 images with all their captions, 80 epochs; the rest as in
    `dive_flickr30k`. Size: 45.33 M parameters. Memory was measured for `dive_flickr30k` alone, whose batches are 128
    images. Cost: about 45,300 steps. Run: `raytrain train dive_coco data.table=TABLE --workers 1`.
    """
    return override(_on_coco(dive_flickr30k()), {"optim.batch_size": 200})


def vsepp_coco() -> RunConfig:
    """VSE++ as in `vsepp_flickr30k`. Run: `raytrain train vsepp_coco data.table=TABLE`."""
    return _on_coco(vsepp_flickr30k())


def pvse_coco() -> RunConfig:
    """PVSE as in `pvse_flickr30k`: K = 2, batch 256. Run: `raytrain train pvse_coco data.table=TABLE`."""
    return _on_coco(pvse_flickr30k())


def pcme_coco() -> RunConfig:
    """PCME as in `pcme_flickr30k`. Run: `raytrain train pcme_coco data.table=TABLE`."""
    return _on_coco(pcme_flickr30k())


def pcmepp_coco() -> RunConfig:
    """PCME++ as in `pcmepp_flickr30k`. Run: `raytrain train pcmepp_coco data.table=TABLE`."""
    return _on_coco(pcmepp_flickr30k())


def scan_coco() -> RunConfig:
    """SCAN t-i LSE (Lee et al., ECCV 2018): `scan_flickr30k` at 5e-4 for 20 epochs, a tenth of it after 10.

    Run: `raytrain train scan_coco data.table=TABLE --workers 1`. Not reproduced here: it needs the released features
    and a GPU.
    """
    return _attending(scan_flickr30k(), lr=5e-4)


def scan_coco_i2t() -> RunConfig:
    """SCAN i-t LSE: `scan_coco` with regions attending to words, lambda 4 and 20.

    Run: `raytrain train scan_coco_i2t data.table=TABLE --workers 1`.
    """
    return override(_attending(scan_flickr30k_i2t(), lr=5e-4), {"method.pooling_scale": 20.0})


def sgraf_coco() -> RunConfig:
    """SGRAF's SGR (Diao et al., AAAI 2021): `sgraf_flickr30k` for 20 epochs, a tenth of the rate after 10.

    Run: `raytrain train sgraf_coco data.table=TABLE --workers 1`. Not reproduced here: it needs the released features
    and a GPU.
    """
    return _attending(sgraf_flickr30k(), lr=2e-4)


def sgraf_coco_saf() -> RunConfig:
    """SGRAF's SAF: `sgraf_coco` with the other module, on the same schedule.

    Run: `raytrain train sgraf_coco_saf data.table=TABLE --workers 1`.
    """
    return _attending(sgraf_flickr30k_saf(), lr=2e-4)


def vsrn_coco() -> RunConfig:
    """VSRN as in `vsrn_flickr30k`, with a tenth of the rate after 15 of 30 epochs; two models 1K 516.8, 5K 415.7.

    Run: `raytrain train vsrn_coco data.table=TABLE --workers 1`.
    """
    return override(_on_coco(vsrn_flickr30k()), {"optim.decay_epochs": (15,)})


def caan_coco() -> RunConfig:
    """CAAN as in `caan_flickr30k`, on the schedule of `scan_coco`; published 1K rsum 515.6, 5K 421.1.

    Run: `raytrain train caan_coco data.table=TABLE --workers 1`.
    """
    return _attending(caan_flickr30k(), lr=5e-4)


def imram_coco() -> RunConfig:
    """IMRAM, words attending: `imram_flickr30k` with lambda 11, 5e-4, 20 epochs, a tenth of the rate after 10.

    The mean of its scores and those of `imram_coco_i2t` has 1K rsum 516.6, 5K 416.5.
    Run: `raytrain train imram_coco data.table=TABLE --workers 1`.
    """
    return override(_attending(imram_flickr30k(), lr=5e-4), {"method.attention_scale": 11.0})


def imram_coco_i2t() -> RunConfig:
    """IMRAM, regions attending, as `imram_coco`. Run: `raytrain train imram_coco_i2t data.table=TABLE --workers 1`."""
    return override(_attending(imram_flickr30k_i2t(), lr=5e-4), {"method.attention_scale": 11.0})


def naaf_coco() -> RunConfig:
    """NAAF as in `naaf_flickr30k`, with batches of 256; two models 1K rsum 527.2, 5K 430.9.

    Run: `raytrain train naaf_coco data.table=TABLE --workers 1`.
    """
    return override(_on_coco(naaf_flickr30k()), {"optim.batch_size": 256})


def _on_coco(base: RunConfig) -> RunConfig:
    """A recipe of Flickr30K with the table of COCO."""
    return override(base, {"experiment": "coco", "data.table": "tables/coco"})


def _attending(base: RunConfig, lr: float) -> RunConfig:
    """A recipe of Flickr30K whose method compares pairs, with the table and the schedule of COCO."""
    return override(_on_coco(base), {"optim.lr": lr, "optim.num_epochs": 20, "optim.decay_epochs": (10,)})
