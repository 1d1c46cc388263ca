"""CUB Captions (200 bird species, ten captions a photo) with frozen EfficientNet-Lite0 grids and a BiGRU, at D 512.

Table: `raytrain data build cub --root DIR --out TABLE`, then `raytrain data encode TABLE --backbone lite0`. Photos:
4 x 4 grid + global (17 x 1,280); words: 300-d embeddings. Choose settings on tables of `fold=1`, 2 and 3, whose
validation species do not train; the default table trains on all 150.

What to expect: published results are R-Precision by species on the 50 test species: PVSE with one embedding 22.3 image
to text, PCME 26.3 and 26.8 text to image (Chun et al., CVPR 2021, with a ResNet trained along; in percent). Recalls, by
which these recipes select, count the ten captions of the very photo; most fit others of its species as well, so that
recalls stay low and are not to be compared with those numbers. Not run here: the photos could not be had.

Sizes are those of `raytrain train RECIPE --dry-run --assume captions=10,words=3000`, with 20 words a caption; steps are
counted, for 7,100 training photos.
"""

from __future__ import annotations

from raytrain.config import (
    BiGRUText,
    DataConfig,
    DivEConfig,
    DVSEConfig,
    EncoderConfig,
    OptimConfig,
    RunConfig,
    VSEInfinityConfig,
    override,
)


def vse_infinity_cub() -> RunConfig:
    """VSE-infinity, one vector a photo.

    Published for CUB: D 512 (PCME's). The rest is VSE-infinity's recipe for Flickr30K, our choice here: AdamW 5e-4,
    batches of 128 pairs, 25 epochs, /10 at 15, clip 2, margin 0.2, a fifth of regions and words dropped. PCME instead
    draws one pair of each species a batch; here a batch may hold several, and other photos of a species count as
    negatives. Size: 4.54 M parameters at 3,000 words; 0.61 GB at most in a step on a CPU, 0.27 GB of it Python. Cost:
    about 13,900 steps. Run: `raytrain train vse_infinity_cub data.table=TABLE`.
    """
    return RunConfig(
        experiment="cub",
        data=DataConfig(table="tables/cub", text_features=None),
        encoder=EncoderConfig(dim=512, text=BiGRUText()),
        method=VSEInfinityConfig(),
        optim=OptimConfig(lr=5e-4, batch_size=128, num_epochs=25, decay_epochs=(15,)),
    )


def dvse_cub() -> RunConfig:
    """DVSE with K = 4 under `vse_infinity_cub`.

    Published: results on this data set, in tables that could not be read, and D 512; K and the weights are the defaults
    of the reading dvse-r1. Size: 5.92 M
    parameters, 0.77 GB, as many steps. Run: `raytrain train dvse_cub data.table=TABLE`.
    """
    return override(vse_infinity_cub(), {"method": DVSEConfig(views=4)})


def dive_cub() -> RunConfig:
    """DivE with K = 4: photos with all their captions.

    Not published for CUB. From the one released script (COCO): AdamW 1e-3, a tenth of it for the image encoder and the
    captions' set module, cosine to zero by step, clip 1, K 4, alpha 16, margin 0.2. Our choice: D 512, slots'
    attention 4 x 256 wide in proportion, batches of 64 photos (640 captions), 50 epochs, and three epochs on the mean
    over all negatives, without which a split of this size stays collapsed. Size: 12.29 M parameters, 2.33 GB with ten
    captions of 20 words a photo. Cost: about 5,500 steps.
    Run: `raytrain train dive_cub data.table=TABLE`.
    """
    changes = {
        "method": DivEConfig(head_dim=256),
        "optim": OptimConfig(lr=1e-3, batch_size=64, num_epochs=50, schedule="cosine", clip_norm=1.0),
    }
    return override(vse_infinity_cub(), changes)
