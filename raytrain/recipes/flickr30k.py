"""Flickr30K with BUTD regions (36 x 2,048), at the size of the papers.

Table: `raytrain data build precomp --root DIR/f30k_precomp --out TABLE`. None of these was trained here: they need the
released features and a GPU. Parameters and memory are those of `raytrain train RECIPE --dry-run optim.precision=fp32
--assume words=11353` on a CPU, the whole process, 0.27 GB of it before the model is built. They are counted with COCO's
vocabulary; the released one of Flickr30K has 8,481 words, 0.86 M parameters fewer. Steps are counted from 29,000 images
with five captions.
"""

from __future__ import annotations

from raytrain.config import (
    BiGRUText,
    CAANConfig,
    DataConfig,
    DivEConfig,
    DVSEConfig,
    EncoderConfig,
    IMRAMConfig,
    NAAFConfig,
    OptimConfig,
    PCMEConfig,
    PCMEPPConfig,
    PVSEConfig,
    RunConfig,
    SCANConfig,
    SGRAFConfig,
    VSEInfinityConfig,
    VSEPPConfig,
    VSRNConfig,
    override,
)


def vse_infinity_flickr30k() -> RunConfig:
    """VSE-infinity, regions + BiGRU (Chen et al., CVPR 2021, table 2): test rsum 498.1 at D 1,024.

    AdamW 5e-4, weight decay 1e-4, batches of 128 pairs, 25 epochs, /10 at 15, clip 2, margin 0.2, all negatives in the
    first epoch and the hardest from then on, a fifth of regions and words dropped. (The released BiGRU branch passes no
    weight decay for region features, so that AdamW's own 1e-2 held there: `optim.weight_decay=1e-2`.) Size: 15.25 M
    parameters; 1.07 GB at most in a step. Cost: about 28,300 steps.
    Run: `raytrain train vse_infinity_flickr30k data.table=TABLE --workers 1`.
    """
    return RunConfig(
        experiment="flickr30k",
        data=DataConfig(table="tables/f30k", image_features="butd", text_features=None),
        encoder=EncoderConfig(dim=1024, text=BiGRUText()),
        method=VSEInfinityConfig(),
        optim=OptimConfig(lr=5e-4, batch_size=128, num_epochs=25, decay_epochs=(15,)),
    )


def dvse_flickr30k() -> RunConfig:
    """DVSE with K = 4 under the recipe of VSE-infinity; the paper's tables could not be read.

    To expect: more than 498.1, VSE-infinity's test rsum on the same features. Size: 19.98 M parameters; 1.65 GB at most
    in a step. Cost: about 28,300 steps. Run: `raytrain train dvse_flickr30k data.table=TABLE`.
    """
    return override(vse_infinity_flickr30k(), {"method": DVSEConfig(views=4)})


def dive_flickr30k() -> RunConfig:
    """DivE, regions + BiGRU (Kim et al., CVPR 2023): test rsum 500.8 for one model at D 1,024, K 4.

    The recipe of the released COCO script with batches of 128 images: AdamW 1e-3, a tenth of it for the image encoder
    and the captions' set module, cosine to zero by step, hardest negatives from the first step
    (`method.mean_warmup_epochs=0`), padding masked and words' positions scaled as published, 80 epochs, clip 1, alpha
    16, margin 0.2, both regularisers weighted 0.01, dropout 0.1. Size: 45.33 M parameters (image encoder 19.95 M, the
    captions' set module 13.83 M); 4.70 GB at most in a step, in fp32, with 20 words a caption. Cost: about 18,100
    steps.
    Run: `raytrain train dive_flickr30k data.table=TABLE`.
    """
    changes = {
        "method": DivEConfig(mean_warmup_epochs=0, mask_mode="official", place_scale="padded"),
        "optim": OptimConfig(
            lr=1e-3, batch_size=128, num_epochs=80, schedule="cosine", clip_norm=1.0, precision="fp16"
        ),
    }
    return override(vse_infinity_flickr30k(), changes)


def vsepp_flickr30k() -> RunConfig:
    """VSE++ on mean-pooled regions and a GRU (Faghri et al., BMVC 2018), with the paper's hyper-parameters.

    2e-4 divided by 10 after 15 of 30 epochs, no weight decay (Adam), no augmentation of features, other captions of an
    image negatives. Published numbers are of whole images through a CNN, and not of these features.
    Run: `raytrain train vsepp_flickr30k data.table=TABLE`.
    """
    changes = {
        "data.region_drop": 0.0,
        "data.word_drop": 0.0,
        "method": VSEPPConfig(same_image="negative"),
        "optim": OptimConfig(lr=2e-4, weight_decay=0.0, batch_size=128, num_epochs=30, decay_epochs=(15,)),
    }
    return override(vse_infinity_flickr30k(), changes)


def pvse_flickr30k() -> RunConfig:
    """PVSE with K = 2 on regions and a BiGRU (Song and Soleymani, CVPR 2019), with the paper's hyper-parameters.

    2e-4, batch 256, 30 epochs. The released code halves the rate whenever validation stalls and takes AMSGrad; here the
    rate is constant, and AdamW without decay the optimizer. Published numbers are of images through a CNN, on COCO.
    Run: `raytrain train pvse_flickr30k data.table=TABLE`.
    """
    changes = {
        "method": PVSEConfig(same_image="negative"),
        "optim.batch_size": 256,
        "optim.schedule": "constant",
    }
    return override(vsepp_flickr30k(), changes)


def pcme_flickr30k() -> RunConfig:
    """PCME on regions and a BiGRU (Chun et al., CVPR 2021), with the hyper-parameters published for COCO.

    2e-4, cosine over 30 epochs, batch 128, a tenth of the words changed, 7 samples, searched by their inner products.
    AdamW without decay stands for AdamP; the second 30 epochs, which train the CNN, have nothing to train here. Log
    sigma starts at -4, not at 0. Run: `raytrain train pcme_flickr30k data.table=TABLE`.
    """
    changes = {
        "data.word_drop": 0.1,
        "method": PCMEConfig(positives="pair", vib_form="official", search_by="matmul"),
        "optim.schedule": "cosine",
        "optim.precision": "fp16",
    }
    return override(vsepp_flickr30k(), changes)


def pcmepp_flickr30k() -> RunConfig:
    """PCME++ on regions and a BiGRU (Chun, ICLR 2024): its losses under the recipe of VSE-infinity.

    The paper trains CLIP encoders at the same rate, with AdamP and mixed images; neither fits precomputed features.
    Run: `raytrain train pcmepp_flickr30k data.table=TABLE`.
    """
    return override(vse_infinity_flickr30k(), {"method": PCMEPPConfig(positives="pair")})


def scan_flickr30k() -> RunConfig:
    """SCAN t-i LSE (Lee et al., ECCV 2018; README of the released code): regions + BiGRU, D 1,024, margin 0.2.

    Adam (no weight decay) at 2e-4, a tenth of it after 15 of 30 epochs, batch 128, hardest negatives from the first
    step, other captions of an image as negatives, no size augmentation. `method.pooling=mean` is its t-i AVG.
    Run: `raytrain train scan_flickr30k data.table=TABLE --workers 1`. Not reproduced here: it needs the released
    features and a GPU.
    """
    changes = {
        "data.region_drop": 0.0,
        "data.word_drop": 0.0,
        "method": SCANConfig(same_image="negative", memory_mib=8192),
        "optim": OptimConfig(lr=2e-4, weight_decay=0.0, batch_size=128, num_epochs=30, decay_epochs=(15,)),
    }
    return override(vse_infinity_flickr30k(), changes)


def scan_flickr30k_i2t() -> RunConfig:
    """SCAN i-t LSE: `scan_flickr30k` with regions attending to words, lambda 4 and 5.

    Run: `raytrain train scan_flickr30k_i2t data.table=TABLE --workers 1`.
    """
    method = SCANConfig(direction="i2t", attention_scale=4.0, pooling_scale=5.0, same_image="negative", memory_mib=8192)
    return override(scan_flickr30k(), {"method": method})


def sgraf_flickr30k() -> RunConfig:
    """SGRAF's SGR (Diao et al., AAAI 2021; README of the released code): regions + BiGRU, D 1,024, alignments of 256.

    As `scan_flickr30k`, with 40 epochs and a tenth of the rate after 30. The published SGRAF is the mean of its scores
    and those of `sgraf_flickr30k_saf`. Run: `raytrain train sgraf_flickr30k data.table=TABLE --workers 1`. Not
    reproduced here: it needs the released features and a GPU.
    """
    changes = {
        "method": SGRAFConfig(same_image="negative", memory_mib=8192),
        "optim.num_epochs": 40,
        "optim.decay_epochs": (30,),
    }
    return override(scan_flickr30k(), changes)


def sgraf_flickr30k_saf() -> RunConfig:
    """SGRAF's SAF: `sgraf_flickr30k` with 30 epochs, a tenth of the rate after 20.

    Run: `raytrain train sgraf_flickr30k_saf data.table=TABLE --workers 1`.
    """
    return override(sgraf_flickr30k(), {"method.module": "saf", "optim.num_epochs": 30, "optim.decay_epochs": (20,)})


def vsrn_flickr30k() -> RunConfig:
    """VSRN (Li et al., ICCV 2019; README of the released code): regions + GRU, D 2,048, captioning loss weighted 1.

    As `scan_flickr30k`, with a tenth of the rate after 10 and after 20 of 30 epochs. Two models averaged have test rsum
    482.6. Run: `raytrain train vsrn_flickr30k data.table=TABLE --workers 1`. Not reproduced here: it needs the released
    features and a GPU.
    """
    changes = {
        "encoder.dim": 2048,
        "method": VSRNConfig(same_image="negative", graph_norm="regions", caption_weight=1.0),
        "optim.decay_epochs": (10, 20),
    }
    return override(scan_flickr30k(), changes)


def caan_flickr30k() -> RunConfig:
    """CAAN in its reading caan-r1, on the schedule of `scan_flickr30k`, as the paper's could not be read.

    Published test rsum 478.6. Run: `raytrain train caan_flickr30k data.table=TABLE --workers 1`. Not reproduced here:
    it needs the released features and a GPU.
    """
    return override(scan_flickr30k(), {"method": CAANConfig(same_image="negative", memory_mib=8192)})


def imram_flickr30k() -> RunConfig:
    """IMRAM, words attending (Chen et al., CVPR 2020; script of the released code): three steps, lambda 9.

    As `scan_flickr30k`. The mean of its scores and those of `imram_flickr30k_i2t` has test rsum 484.2. Run: `raytrain
    train imram_flickr30k data.table=TABLE --workers 1`. Not reproduced here: it needs the released features and a GPU.
    """
    return override(scan_flickr30k(), {"method": IMRAMConfig(same_image="negative", memory_mib=8192)})


def imram_flickr30k_i2t() -> RunConfig:
    """IMRAM, regions attending to words; the released scripts name no other settings for it.

    Run: `raytrain train imram_flickr30k_i2t data.table=TABLE --workers 1`.
    """
    return override(imram_flickr30k(), {"method.direction": "i2t"})


def naaf_flickr30k() -> RunConfig:
    """NAAF (Zhang et al., CVPR 2022; README of the released code): lambda 20, otherwise as `scan_flickr30k`, but 5e-4.

    A tenth of the rate after 10 of 20 epochs. One model has test rsum 507.9, with frozen GloVe vectors of words; here
    they are learned. Run: `raytrain train naaf_flickr30k data.table=TABLE --workers 1`. Not reproduced here: it needs
    the released features and a GPU.
    """
    changes = {
        "method": NAAFConfig(same_image="negative", memory_mib=8192),
        "optim.lr": 5e-4,
        "optim.num_epochs": 20,
        "optim.decay_epochs": (10,),
    }
    return override(scan_flickr30k(), changes)
