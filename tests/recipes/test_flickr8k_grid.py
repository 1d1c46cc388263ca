"""Flickr8k on the grid: one budget for all methods, so that their rows compare; docstrings name the exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from raytrain.recipes import RECIPES
from tests.recipes.settings import check, differences

BUDGET = {"data.table": "tables/flickr8k", "experiment": "flickr8k", "encoder.dim": 256, "optim.lr": 5e-4,
          "optim.batch_size": 128, "optim.num_epochs": 4, "optim.decay_epochs": [2]}  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [
        "vse_infinity", "mv_vse", "scan", "sgraf", "vsepp", "pvse", "pcme", "pcmepp", "vsrn", "caan", "imram",
        "naaf", "asymvlm",
    ],
)  # fmt: skip
def test_methods_share_a_budget(method: str) -> None:
    recipe = f"{method}_flickr8k"
    check(f"{recipe}_grid" if f"{recipe}_grid" in RECIPES else recipe, {**BUDGET, "method.kind": method})


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("dvse_flickr8k_grid", {"method.views": 4}),
        ("mv_vse_flickr8k_grid", {"method.views": 4, "method.view_layer": "linear", "method.region_pooling": "max",
                             "method.mean_warmup_epochs": 1.0}),
        ("scan_flickr8k", {"method.mean_warmup_epochs": 1.0}),
        ("sgraf_flickr8k", {"method.mean_warmup_epochs": 1.0, "method.sim_dim": 64, "method.memory_mib": 64}),
        ("vsrn_flickr8k", {"method.mean_warmup_epochs": 1.0, "method.caption_weight": 0.0, "method.blocks": 4}),
        ("caan_flickr8k", {"method.mean_warmup_epochs": 1.0, "method.hidden_dim": 64, "method.memory_mib": 64}),
        ("imram_flickr8k", {"method.mean_warmup_epochs": 1.0, "method.steps": 2, "method.direction": "t2i"}),
        ("naaf_flickr8k", {"method.mean_warmup_epochs": 1.0, "method.attention_scale": 20.0}),
        ("vsepp_flickr8k", {"encoder.pooling": "mean", "data.region_drop": 0.0, "data.word_drop": 0.0}),
        ("pvse_flickr8k", {"encoder.pooling": "gpo", "data.region_drop": 0.0, "method.views": 2}),
        ("pcme_flickr8k", {"encoder.pooling": "gpo", "data.word_drop": 0.0, "method.samples": 7}),
        ("pcmepp_flickr8k_grid", {"encoder.pooling": "gpo", "data.region_drop": 0.2, "data.word_drop": 0.2}),
        # in proportion to D, all parts at one rate, and one epoch that keeps a small split from collapsing
        ("dive_flickr8k_grid", {"method.views": 4, "method.head_dim": 128, "method.image_lr_scale": 1.0,
                           "method.set_lr_scale": 1.0, "method.mean_warmup_epochs": 1.0, "optim.lr": 2e-3,
                           "optim.batch_size": 64, "optim.num_epochs": 6, "optim.schedule": "cosine",
                           "optim.clip_norm": 1.0}),
        ("maxmatch_flickr8k_grid", {"method.views": 4, "method.head_dim": 128, "method.image_lr_scale": 1.0,
                               "method.set_lr_scale": 1.0, "method.mean_warmup_epochs": 1.0, "optim.lr": 2e-3,
                               "optim.batch_size": 64, "optim.num_epochs": 6}),
        # the official code as it was run on this split
        ("vse_infinity_flickr8k_bigru", {"data.text_features": None, "encoder.dim": 512, "optim.num_epochs": 9,
                                         "optim.decay_epochs": [5], "optim.weight_decay": 1e-2,
                                         "method.same_image": "negative", "optim.ema_decay": 0.997}),
    ],
)  # fmt: skip
def test_what_a_docstring_states_is_set(recipe: str, expected: dict[str, Any]) -> None:
    check(recipe, expected)


def test_dvse_differs_from_vse_infinity_by_its_method_alone() -> None:
    changed = differences("dvse_flickr8k_grid", "vse_infinity_flickr8k")
    assert {name.partition(".")[0] for name in changed} == {"method"}
    same = {"margin", "mean_warmup_epochs", "same_image"}
    dvse, base = RECIPES["dvse_flickr8k_grid"]().method, RECIPES["vse_infinity_flickr8k"]().method
    assert dvse.model_dump(include=same) == base.model_dump(include=same)
