"""The parts of a run refuse what no run can be trained with, and cannot be changed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from raytrain.config import (
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    FeedConfig,
    OptimConfig,
    Part,
    TokenText,
    TransformerImages,
    TransformerText,
)
from raytrain.errors import RefusedError


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        (OptimConfig, {"lr": 0}),
        (OptimConfig, {"lr": math.inf}),
        (OptimConfig, {"lr": math.nan}),
        (OptimConfig, {"batch_size": 1}),  # no negatives
        (OptimConfig, {"ema_decay": 1}),
        (OptimConfig, {"decay_factor": 0.5}),
        (OptimConfig, {"precision": "fp8"}),
        (DataConfig, {}),  # a table is named
        (DataConfig, {"table": "t", "region_drop": 1}),
        (DataConfig, {"table": "t", "max_words": 1}),
        (DataConfig, {"table": "t", "image_features": "lite0,"}),
        (DataConfig, {"table": "t", "image_features": "lite0,lite0"}),
        (FeedConfig, {"device_share": 0}),
        (EncoderConfig, {"dim": 1}),
        (EncoderConfig, {"text": {"kind": "lstm"}}),
        (TransformerText, {}),  # a model is named
        (TransformerImages, {"path": "x", "target_pad": 0.5}),
        (EvaluationConfig, {"select": "val/loss"}),
        (EvaluationConfig, {"memory_mib": 0}),
    ],
)
def test_a_value_out_of_bounds_is_refused(part: type[Part], settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        part(**settings)


def test_a_part_refuses_unknown_names_and_changes() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        OptimConfig(**{"learning_rate": 1})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="frozen"):
        OptimConfig().lr = 1.0


def test_a_metric_of_test_never_selects() -> None:
    with pytest.raises(RefusedError, match="validation chooses; a metric of test cannot"):
        EvaluationConfig(select="test/rsum")
    for name in ("val/rsum", "val/i2t/recall_at_10", "val/recall_at_50", "val/map_at_r"):
        assert EvaluationConfig(select=name).select == name


def test_an_encoder_reads_token_states_of_the_table_unless_it_is_told_otherwise() -> None:
    assert EncoderConfig().text == TokenText()
    assert EncoderConfig(text={"kind": "transformer", "path": "bert"}).text == TransformerText(path="bert")  # type: ignore[arg-type]


def test_image_features_are_one_name_or_several() -> None:
    assert DataConfig(table="t").image_feature_names == ("lite0",)
    several = DataConfig(table="t", image_features="lite0, lite2")
    assert (several.image_features, several.image_feature_names) == ("lite0,lite2", ("lite0", "lite2"))


def test_layers_are_not_computed_again_where_batch_norm_moves() -> None:
    with pytest.raises(ValueError, match="use frozen_batch_norm=true"):
        TransformerImages(path="clip", recompute=True, frozen_batch_norm=False)
