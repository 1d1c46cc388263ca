"""Flickr30K with BUTD regions (36 x 2,048), at the size of the papers.

Table: `raytrain data build precomp --root DIR/f30k_precomp --out TABLE`.
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
)


def vse_infinity_flickr30k() -> RunConfig:
    """VSE-infinity, regions + BiGRU (Chen et al., CVPR 2021, table 2): test rsum 498.1 at D 1,024.

    Run: `raytrain train vse_infinity_flickr30k data.table=TABLE --workers 1`. Not reproduced here: it needs the
    released features and a GPU.
    """
    return RunConfig(
        experiment="flickr30k",
        data=DataConfig(table="tables/f30k", image_features="butd", text_features=None),
        encoder=EncoderConfig(dim=1024, text=BiGRUText()),
        method=VSEInfinityConfig(),
        optim=OptimConfig(lr=5e-4, batch_size=128, num_epochs=25, decay_epochs=(15,)),
    )


def dvse_flickr30k() -> RunConfig:
    """DVSE with K = 4 under the recipe of VSE-infinity. Run: `raytrain train dvse_flickr30k data.table=TABLE`."""
    return vse_infinity_flickr30k().model_copy(update={"method": DVSEConfig(views=4)})


def dive_flickr30k() -> RunConfig:
    """DivE, regions + BiGRU (Kim et al., CVPR 2023): test rsum 500.8 for one model at D 1,024, K 4.

    The recipe of the released COCO script with batches of 128 images: AdamW 1e-3, a tenth of it for the image encoder
    and the captions' set module, cosine to zero by step, hardest negatives from the first step
    (`method.mean_warmup_epochs=0`), padding masked as published. Run: `raytrain train dive_flickr30k data.table=TABLE`.
    Not reproduced here: it needs the released features and a GPU.
    """
    base = vse_infinity_flickr30k()
    return base.model_copy(
        update={
            "method": DivEConfig(mean_warmup_epochs=0, mask_mode="official"),
            "optim": OptimConfig(
                lr=1e-3, batch_size=128, num_epochs=80, schedule="cosine", clip_norm=1.0, precision="fp16"
            ),
        }
    )
