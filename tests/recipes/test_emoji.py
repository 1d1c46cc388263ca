"""The demo's recipes: minutes on two cores, methods on one budget."""

from __future__ import annotations

from tests.recipes.settings import check, differences


def test_image_text_recipes_share_a_table_and_a_size() -> None:
    for method in ("vse_infinity", "dvse", "dive"):
        check(f"{method}_emoji", {"experiment": "emoji", "data.table": "tables/emoji", "encoder.dim": 128,
                                  "data.image_features": "lite0", "data.text_features": "minilm"})  # fmt: skip
    check("vse_infinity_emoji", {"optim.lr": 1e-3, "optim.num_epochs": 3, "optim.decay_epochs": [2]})
    assert {name.partition(".")[0] for name in differences("dvse_emoji", "vse_infinity_emoji")} == {"method"}
    check("dive_emoji", {"optim.num_epochs": 8, "optim.batch_size": 64, "optim.schedule": "cosine",
                         "optim.clip_norm": 1.0, "method.head_dim": 64, "method.mean_warmup_epochs": 3.0})  # fmt: skip


def test_composed_recipes_share_the_triplets_and_a_budget() -> None:
    check(
        "rau_emoji",
        {"experiment": "emoji_triplets", "data.table": "tables/emoji_triplets", "optim.num_epochs": 5,
         "optim.batch_size": 256, "method.theta": 0.99, "method.theta_mode": "quantile", "data.region_drop": 0.0,
         "data.word_drop": 0.0, "encoder.pooling": "mean"},
    )  # fmt: skip
    changed = differences("sum_emoji", "rau_emoji")
    assert changed == {"method.kind": "composed", "method.composition": "sum"}
