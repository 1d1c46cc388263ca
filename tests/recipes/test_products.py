"""Catalogue photos: every composition on the budget of RAU, further targets as negatives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recipes.settings import check, differences


def test_rau_leaves_as_many_pairs_as_a_batch_has_further_targets() -> None:
    check(
        "rau_products_all",
        {"data.table": "tables/products", "data.image_features": "lite0,lite2", "data.regions": "global",
         "encoder.dim": 512, "encoder.image_head": "mlp", "encoder.text_head": "mlp", "optim.lr": 3e-3,
         "optim.batch_size": 512, "optim.num_epochs": 5, "optim.schedule": "cosine", "optim.ema_decay": 0.99,
         "method.theta": 0.998, "method.theta_mode": "quantile", "method.isu_weight": 1.0, "method.csu_weight": 1.0,
         "method.dr_weight": 0.01, "method.known_positives": "negative", "method.blocks": 2},
    )  # fmt: skip


def test_the_recipe_has_no_loss_that_its_study_shows_to_hurt() -> None:
    assert differences("rau_products", "rau_products_all") == {
        "method.isu_weight": 0.0, "method.csu_weight": 0.0, "method.dr_weight": 0.0,
    }  # fmt: skip


def test_the_linear_form_trains_the_same_losses() -> None:
    changed = differences("rau_products_linear", "rau_products_all")
    assert changed["encoder.dim"] == 256 and changed["data.image_features"] == "lite0"
    assert not any(name.startswith("method.") for name in changed)


@pytest.mark.parametrize(
    ("recipe", "base", "method"),
    [
        ("combiner_products", "rau_products_linear", {"composition": "combiner", "scale": 100.0}),
        ("sum_products", "rau_products", {"composition": "sum"}),
        ("mgur_products", "rau_products", {"base_loss": "multi_grained"}),  # on RAU's own composition
    ],
)
def test_a_baseline_differs_from_rau_by_its_method_alone(recipe: str, base: str, method: dict[str, Any]) -> None:
    changed = {"kind": "composed", **method}
    assert differences(recipe, base) == {f"method.{name}": value for name, value in changed.items()}
    check(recipe, {"method.known_positives": "negative"})


def test_tirg_has_what_its_own_search_found() -> None:
    changed = differences("tirg_products", "rau_products")
    assert {name for name in changed if not name.startswith("method.")} == {
        "optim.lr", "optim.ema_decay", "encoder.image_dropout", "encoder.text_dropout", "data.word_drop",
    }  # fmt: skip
    check("tirg_products", {"method.composition": "tirg", "method.scale": 16.0, "method.scale_learned": True})


def test_half_queries_collect_their_sums_in_one_epoch() -> None:
    for halves in ("half_sum", "half_product"):
        recipe = f"{halves}_products"
        changed = differences(recipe, "rau_products")
        assert {name: value for name, value in changed.items() if not name.startswith("method.")} == {
            "optim.num_epochs": 1,
            "optim.ema_decay": 0.0,
        }
        check(recipe, {"method.kind": "half_queries", "method.halves": halves})
