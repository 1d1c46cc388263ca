from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method
from raytrain.training.schedule import lr_factor, make_optimizer, set_lr
from tests.runs import tiny


def test_step_schedule_divides_at_each_epoch(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__decay_epochs=[5, 8], optim__num_epochs=10)
    factors = [lr_factor(config, epoch * 4, 4) for epoch in range(10)]
    assert factors == pytest.approx([1] * 5 + [0.1] * 3 + [0.01] * 2)


def test_cosine_schedule_goes_from_one_to_zero_by_step(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__schedule="cosine", optim__num_epochs=10)
    assert lr_factor(config, 0, 4) == 1
    assert lr_factor(config, 10, 4) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert lr_factor(config, 40, 4) == pytest.approx(0, abs=1e-12)


def test_warm_up_is_linear_and_constant_stays(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__schedule="constant", optim__warmup_steps=4)
    assert [lr_factor(config, step, 3) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_the_text_encoder_learns_at_its_own_rate(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, encoder__text__lr_scale=0.1)
    model = build_method(config, open_feed(config, table))
    optimizer = make_optimizer(model, config, torch.device("cpu"))
    set_lr(optimizer, 1e-3)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(1e-4 if name.startswith("text.") else 1e-3), name


def test_parts_of_a_method_learn_at_their_own_rates(table: Table, tmp_path: Path) -> None:
    config = tiny(
        table, tmp_path, method__kind="dive", method__similarity="match_probability", method__head_dim=4,
        method__image_lr_scale=0.5, method__set_lr_scale=0.25, encoder__text__lr_scale=2.0,
    )  # fmt: skip
    model = build_method(config, open_feed(config, table))
    optimizer = make_optimizer(model, config, torch.device("cpu"))
    set_lr(optimizer, 1e-3)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    scales = {"image.": 0.5, "text.sets.": 0.25, "text.linear.": 2.0, "match_": 1.0}
    for name, parameter in model.named_parameters():
        scale = next(value for start, value in scales.items() if name.startswith(start))
        assert rates[id(parameter)] == pytest.approx(1e-3 * scale), name
