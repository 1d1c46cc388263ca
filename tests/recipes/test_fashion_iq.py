"""FashionIQ on frozen features: RAU's open choices, and CLIP4Cir's published Combiner."""

from __future__ import annotations

from tests.recipes.settings import check, differences

CLIP = {"data.table": "tables/fashion_iq", "data.image_features": "clip", "data.text_features": "clip_text",
        "data.regions": "global", "data.region_drop": 0.0, "data.word_drop": 0.0}  # fmt: skip


def test_rau_trains_its_head_as_the_second_stage_of_clip4cir() -> None:
    check(
        "rau_fashion_iq",
        {**CLIP, "experiment": "fashion_iq", "encoder.dim": 512, "optim.lr": 2e-4, "optim.weight_decay": 1e-2,
         "optim.batch_size": 1024, "optim.num_epochs": 300, "optim.schedule": "cosine", "optim.precision": "bf16",
         "method.kind": "rau", "method.theta": 0.99, "method.theta_mode": "quantile", "method.blocks": 2,
         "method.base_weight": 1.0, "method.isu_weight": 1.0, "method.csu_weight": 1.0, "method.dr_weight": 0.1,
         "method.test_features": "deterministic"},
    )  # fmt: skip


def test_the_combiner_has_the_published_rate_batch_and_scale() -> None:
    check(
        "combiner_fashion_iq",
        {**CLIP, "method.kind": "composed", "method.composition": "combiner", "method.scale": 100.0,
         "method.scale_learned": False, "method.symmetric": False, "method.dropout": 0.5,
         "method.known_positives": "negative", "method.base_loss": "info_nce"},
    )  # fmt: skip
    others = {k: v for k, v in differences("combiner_fashion_iq", "rau_fashion_iq").items() if k[:7] != "method."}
    assert others == {"optim.lr": 2e-5, "optim.batch_size": 4096, "optim.schedule": "constant"}
