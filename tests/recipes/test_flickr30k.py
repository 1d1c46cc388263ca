"""The published hyper-parameters of each method, as its paper or its released code states them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recipes.settings import check, differences

BUTD = {"data.table": "tables/f30k", "data.image_features": "butd", "data.text_features": None, "encoder.dim": 1024,
        "encoder.text.kind": "bigru", "encoder.text.word_dim": 300, "experiment": "flickr30k"}  # fmt: skip
AUGMENTED = {"data.region_drop": 0.2, "data.word_drop": 0.2}
PLAIN = {"data.region_drop": 0.0, "data.word_drop": 0.0}
VSE_INFINITY = {"optim.lr": 5e-4, "optim.weight_decay": 1e-4, "optim.batch_size": 128, "optim.num_epochs": 25,
                "optim.schedule": "step", "optim.decay_epochs": [15], "optim.decay_factor": 10.0,
                "optim.clip_norm": 2.0, "encoder.pooling": "gpo", "encoder.gpo_dim": 32}  # fmt: skip
SCAN = {"optim.lr": 2e-4, "optim.weight_decay": 0.0, "optim.batch_size": 128, "optim.num_epochs": 30,
        "optim.decay_epochs": [15], "optim.decay_factor": 10.0, "optim.clip_norm": 2.0, "method.margin": 0.2,
        "method.mean_warmup_epochs": 0.0, "method.same_image": "negative"}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        # Chen et al., CVPR 2021, supplement; the first epoch on all negatives
        (
            "vse_infinity_flickr30k",
            {**AUGMENTED, **VSE_INFINITY, "method.margin": 0.2, "method.mean_warmup_epochs": 1.0},
        ),
        # K = 4 and the readings of what the paper leaves open (dvse-r1)
        (
            "dvse_flickr30k",
            {**AUGMENTED, **VSE_INFINITY, "method.views": 4, "method.margin": 0.2, "method.weight_fn": "inv",
             "method.weight_gradient": False, "method.score": "max", "method.orth_weight": 0.1,
             "method.orth_schedule": "adaptive", "method.view_pooling": "shared"},
        ),
        # the released script of Kim et al., CVPR 2023, with batches of 128 images
        (
            "dive_flickr30k",
            {**AUGMENTED, "optim.lr": 1e-3, "optim.weight_decay": 1e-4, "optim.batch_size": 128,
             "optim.num_epochs": 80, "optim.schedule": "cosine", "optim.clip_norm": 1.0, "optim.precision": "fp16",
             "method.views": 4, "method.similarity": "smooth_chamfer", "method.alpha": 16.0, "method.margin": 0.2,
             "method.mining": "hardest", "method.mean_warmup_epochs": 0.0, "method.mmd_weight": 0.01,
             "method.diversity_weight": 0.01, "method.diversity_of": "residual", "method.iterations": 4,
             "method.shared_block": True, "method.heads": 4, "method.head_dim": 512, "method.dropout": 0.1,
             "method.mask_mode": "official", "method.place_scale": "padded", "method.image_lr_scale": 0.1,
             "method.set_lr_scale": 0.1},
        ),
        # Faghri et al., BMVC 2018
        (
            "vsepp_flickr30k",
            {**PLAIN, "optim.lr": 2e-4, "optim.weight_decay": 0.0, "optim.batch_size": 128, "optim.num_epochs": 30,
             "optim.decay_epochs": [15], "optim.clip_norm": 2.0, "method.margin": 0.2, "method.mining": "hardest",
             "method.mean_warmup_epochs": 0.0, "method.same_image": "negative"},
        ),
        # Song and Soleymani, CVPR 2019
        (
            "pvse_flickr30k",
            {**PLAIN, "optim.lr": 2e-4, "optim.batch_size": 256, "optim.num_epochs": 30, "optim.clip_norm": 2.0,
             "optim.schedule": "constant", "method.views": 2, "method.margin": 0.1, "method.mining": "hardest",
             "method.mmd_weight": 0.01, "method.diversity_weight": 0.1},
        ),
        # Chun et al., CVPR 2021, COCO
        (
            "pcme_flickr30k",
            {"data.region_drop": 0.0, "data.word_drop": 0.1, "optim.lr": 2e-4, "optim.batch_size": 128,
             "optim.num_epochs": 30, "optim.schedule": "cosine", "optim.precision": "fp16", "optim.clip_norm": 2.0,
             "method.samples": 7, "method.match_scale": 15.0, "method.match_shift": 15.0, "method.vib_weight": 1e-5,
             "method.uniformity_weight": 0.0, "method.positives": "pair", "method.search_by": "matmul"},
        ),
        # Chun, ICLR 2024
        (
            "pcmepp_flickr30k",
            {**AUGMENTED, **VSE_INFINITY, "method.match_scale": 5.0, "method.match_shift": 5.0,
             "method.vib_weight": 1e-4, "method.pseudo_weight": 0.1},
        ),
        # Lee et al., ECCV 2018, README of the released code
        (
            "scan_flickr30k",
            {**PLAIN, **SCAN, "method.direction": "t2i", "method.attention_scale": 9.0, "method.pooling_scale": 6.0,
             "method.pooling": "log_sum_exp"},
        ),
        (
            "scan_flickr30k_i2t",
            {**PLAIN, **SCAN, "method.direction": "i2t", "method.attention_scale": 4.0, "method.pooling_scale": 5.0,
             "method.pooling": "log_sum_exp"},
        ),
        # Diao et al., AAAI 2021, README of the released code
        (
            "sgraf_flickr30k",
            {**PLAIN, **SCAN, "optim.num_epochs": 40, "optim.decay_epochs": [30], "method.module": "sgr",
             "method.sim_dim": 256, "method.steps": 3, "method.attention_scale": 9.0, "method.dropout": 0.4},
        ),
        (
            "sgraf_flickr30k_saf",
            {**PLAIN, **SCAN, "optim.num_epochs": 30, "optim.decay_epochs": [20], "method.module": "saf",
             "method.sim_dim": 256, "method.dropout": 0.4},
        ),
        # Li et al., ICCV 2019, README and defaults of the released code
        (
            "vsrn_flickr30k",
            {**PLAIN, **SCAN, "encoder.dim": 2048, "optim.decay_epochs": [10, 20], "method.blocks": 4,
             "method.graph_norm": "regions", "method.caption_weight": 1.0, "method.caption_dim": 512,
             "method.caption_dropout": 0.2},
        ),
        # Zhang et al., CVPR 2020: no code; the schedule of SCAN
        ("caan_flickr30k", {**PLAIN, **SCAN, "method.context": "both", "method.hidden_dim": 256}),
        # Chen et al., CVPR 2020, scripts of the released code
        (
            "imram_flickr30k",
            {**PLAIN, **SCAN, "method.direction": "t2i", "method.steps": 3, "method.attention_scale": 9.0,
             "method.refined_norm": False},
        ),
        ("imram_flickr30k_i2t", {**PLAIN, **SCAN, "method.direction": "i2t", "method.attention_scale": 9.0}),
        # Zhang et al., CVPR 2022, README of the released code
        (
            "naaf_flickr30k",
            {**PLAIN, **SCAN, "optim.lr": 5e-4, "optim.num_epochs": 20, "optim.decay_epochs": [10],
             "method.attention_scale": 20.0, "method.mismatch_penalty": 2.0, "method.sample_words": 200,
             "method.threshold_momentum": 0.3, "method.test_threshold": "safe", "method.propagation_scale": 5.0},
        ),
    ],
)  # fmt: skip
def test_a_recipe_has_what_was_published(recipe: str, expected: dict[str, Any]) -> None:
    check(recipe, {**BUTD, **expected})


def test_a_recipe_changes_nothing_that_its_docstring_does_not_name() -> None:
    assert differences("scan_flickr30k_i2t", "scan_flickr30k") == {
        "method.direction": "i2t", "method.attention_scale": 4.0, "method.pooling_scale": 5.0,
    }  # fmt: skip
    assert differences("sgraf_flickr30k_saf", "sgraf_flickr30k") == {
        "method.module": "saf", "optim.num_epochs": 30, "optim.decay_epochs": [20],
    }  # fmt: skip
    changed = differences("dvse_flickr30k", "vse_infinity_flickr30k")
    assert all(name.startswith("method.") for name in changed)
