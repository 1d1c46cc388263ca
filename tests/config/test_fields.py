from __future__ import annotations

import pytest

from raytrain.config import DivEConfig, RunConfig, flatten
from raytrain.config.fields import KINDS, kinds_in, leaves, no_such_field, part_at, similar_leaves
from raytrain.config.methods import METHOD_CONFIGS
from raytrain.config.parts import BiGRUText, OptimConfig
from raytrain.recipes import RECIPES


@pytest.mark.parametrize("recipe", ["dvse_emoji", "vse_infinity_coco", "rau_emoji"])
def test_the_leaves_of_a_run_are_those_of_its_values(recipe: str) -> None:
    run = RECIPES[recipe]()
    kinds = kinds_in(run.model_dump())
    assert leaves(RunConfig, kinds) == list(flatten(run))
    assert kinds["method"] == run.method.kind


def test_without_kinds_the_leaves_are_those_of_all_kinds() -> None:
    names = leaves(RunConfig)
    assert {"method.alpha", "method.theta", "encoder.text.word_dim", "encoder.image.path", "seed"} <= set(names)
    assert len(names) == len(set(names))


def test_a_part_is_found_by_its_place_and_kind() -> None:
    kinds = {"method": "dive", "encoder.text": "bigru", "encoder.image": "gone"}
    assert part_at(RunConfig, [], kinds) is RunConfig
    assert part_at(RunConfig, ["optim"], kinds) is OptimConfig
    assert part_at(RunConfig, ["method"], kinds) is DivEConfig
    assert part_at(RunConfig, ["encoder", "text"], kinds) is BiGRUText
    for place in (["encoder", "image"], ["optim", "lr"], ["optim", "lr", "x"], ["gone"]):
        assert part_at(RunConfig, place, kinds) is None


def test_kinds_are_read_from_values_that_may_be_anything() -> None:
    assert kinds_in({"method": {"kind": "dvse"}, "encoder": {"text": 3}}) == {"method": "dvse"}
    assert kinds_in({"method": "dvse", "encoder": None}) == {}
    assert KINDS["method"] is METHOD_CONFIGS


def test_a_leaf_is_found_by_its_own_name_before_one_that_is_close() -> None:
    names = ["optim.lr", "encoder.text.lr_scale", "optim.num_epochs", "a.margin", "b.margin", "c.margin", "d.margin"]
    assert similar_leaves("lr", names) == ["optim.lr"]
    assert similar_leaves("epochs", names) == ["optim.num_epochs"]
    assert similar_leaves("margin", names) == ["a.margin", "b.margin", "c.margin"]
    assert similar_leaves("zebra", names) == []


@pytest.mark.parametrize(
    ("place", "name", "hint"),
    [
        ("optim", "lrr", "optim has no field 'lrr'; did you mean 'lr'? Fields: lr, warmup."),
        ("optim", "margin", "optim has no field 'margin'; did you mean method.margin? Fields: lr, warmup."),
        ("optim", "margn", "optim has no field 'margn'. Fields: lr, warmup."),  # close, and at another place
        ("", "margn", "RunConfig has no field 'margn'; did you mean method.margin? Fields: lr, warmup."),
    ],
)
def test_a_wrong_name_gets_the_nearest_that_may_be_meant(place: str, name: str, hint: str) -> None:
    assert no_such_field(place, name, ["lr", "warmup"], ["optim.lr", "optim.warmup", "method.margin"]) == hint


def test_a_single_value_has_no_fields() -> None:
    assert no_such_field("optim.lr", "x", [], ["optim.lr"]) == "optim.lr is a single value; it has no field 'x'."
