"""CUB: the published size of the joint space, on words, under VSE-infinity's recipe."""

from __future__ import annotations

from tests.recipes.settings import check, differences


def test_vse_infinity_on_cub_has_the_published_dimension_and_its_own_recipe() -> None:
    check(
        "vse_infinity_cub",
        {"experiment": "cub", "data.table": "tables/cub", "data.image_features": "lite0", "data.text_features": None,
         "encoder.dim": 512, "encoder.text.kind": "bigru", "encoder.text.word_dim": 300, "optim.lr": 5e-4,
         "optim.batch_size": 128, "optim.num_epochs": 25, "optim.decay_epochs": [15], "optim.clip_norm": 2.0,
         "method.margin": 0.2, "data.region_drop": 0.2, "data.word_drop": 0.2},
    )  # fmt: skip


def test_dvse_on_cub_changes_the_method_alone() -> None:
    changed = differences("dvse_cub", "vse_infinity_cub")
    assert changed["method.views"] == 4
    assert all(name.startswith("method.") for name in changed)


def test_dive_on_cub_has_the_schedule_of_the_released_script_and_a_warm_up() -> None:
    check(
        "dive_cub",
        {"encoder.dim": 512, "optim.lr": 1e-3, "optim.schedule": "cosine", "optim.clip_norm": 1.0,
         "optim.batch_size": 64, "optim.num_epochs": 50, "method.views": 4, "method.alpha": 16.0,
         "method.margin": 0.2, "method.heads": 4, "method.head_dim": 256, "method.image_lr_scale": 0.1,
         "method.set_lr_scale": 0.1, "method.mean_warmup_epochs": 3.0, "data.batch_by": "method"},
    )  # fmt: skip
