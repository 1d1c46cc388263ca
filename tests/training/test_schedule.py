"""The learning rate over time, and the rates of a method's parts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from raytrain.config import RunConfig
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method
from raytrain.training.schedule import Plateau, lr_factor, make_optimizer, set_lr
from tests.data.pictures import entry, karpathy
from tests.encoders.tiny_models import bert, vit
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


def test_a_plateau_divides_the_rate_after_the_epochs_that_are_let_pass() -> None:
    values = [1.0, 2.0, 2.0, 1.5, 1.9, 2.5, 2.4, 2.5, 2.5, 2.5]
    plateau, factors = Plateau(4.0, 2), []
    best, bad, factor, expected = -math.inf, 0, 1.0, []
    for value in values:
        plateau.count(value, torch.device("cpu"))
        factors.append(plateau.factor)
        best, bad = (value, 0) if value > best else (best, bad + 1)
        if bad > 2:
            factor, bad = factor / 4, 0
        expected.append(factor)
    assert factors == expected and factors[-1] == 1 / 16


def test_a_plateau_goes_on_from_its_state() -> None:
    whole, parts = Plateau(10.0, 1), Plateau(10.0, 1)
    for plateau in (whole, parts):
        for value in (3.0, 2.0, 1.0, 2.0):
            plateau.count(value, torch.device("cpu"))
    resumed = Plateau(10.0, 1)
    resumed.restore(parts.state())
    for value in (2.5, 2.9, 3.5, 1.0, 1.0):
        for plateau in (whole, resumed):
            plateau.count(value, torch.device("cpu"))
        assert resumed.state() == whole.state()
    assert whole.factor == pytest.approx(1e-3)


def test_a_plateau_that_does_not_decay_is_refused(table: Table, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="schedule=plateau divides lr by decay_factor"):
        tiny(table, tmp_path, optim__schedule="plateau", optim__decay_factor=1.0)


def rates(config: RunConfig, table: Table) -> dict[str, float]:
    """{parameter that trains: its learning rate} where the base rate is 1e-3."""
    model = build_method(config, open_feed(config, table))
    optimizer = make_optimizer(model, config, torch.device("cpu"))
    set_lr(optimizer, 1e-3)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    of_group = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: of_group[id(p)] for name, p in model.named_parameters() if p.requires_grad}


def test_the_text_encoder_learns_at_its_own_rate(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, encoder__text__lr_scale=0.1)
    for name, rate in rates(config, table).items():
        assert rate == pytest.approx(1e-4 if name.startswith("text.") else 1e-3), name


def test_parts_of_a_method_learn_at_their_own_rates(table: Table, tmp_path: Path) -> None:
    config = tiny(
        table, tmp_path, method__kind="dive", method__similarity="match_probability", method__head_dim=4,
        method__image_lr_scale=0.5, method__set_lr_scale=0.25, encoder__text__lr_scale=2.0,
    )  # fmt: skip
    scales = {"image.": 0.5, "text.sets.": 0.25, "text.linear.": 2.0, "match_": 1.0}
    for name, rate in rates(config, table).items():
        scale = next(value for start, value in scales.items() if name.startswith(start))
        assert rate == pytest.approx(1e-3 * scale), name


def test_of_a_text_branch_with_a_transformer_that_alone_learns_at_the_scaled_rate(table: Table, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    path = str(bert(tmp_path / "model"))
    config = tiny(table, tmp_path, encoder__text__kind="transformer", encoder__text__path=path, data__max_words=12)
    by_name = rates(config, table)
    assert by_name["text.linear.weight"] == pytest.approx(1e-3)
    inside = [rate for name, rate in by_name.items() if name.startswith("text.transformer.")]
    assert inside == [pytest.approx(1e-4)] * len(inside) != []


def test_each_layer_learns_slower_than_the_one_above_it(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    root = karpathy(tmp_path / "root", [entry(n, ("train", "val", "test")[n % 3]) for n in range(3)])
    pictures = build("karpathy", root, tmp_path / "table")
    config = tiny(
        pictures, tmp_path,
        encoder__image__kind="transformer", encoder__image__path=str(vit(tmp_path / "image")),
        encoder__image__lr_scale=0.1, encoder__image__layer_decay=0.5,
        encoder__text__kind="transformer", encoder__text__path=str(bert(tmp_path / "text")),
        encoder__text__lr_scale=0.1, encoder__text__layer_decay=0.5,
    )  # fmt: skip
    by_name = rates(config, pictures)
    for start in ("backbone.model.", "method.text.transformer."):
        for part, expected in ((".0.attention", 1e-4), ("embeddings.", 5e-5)):
            chosen = [rate for name, rate in by_name.items() if name.startswith(start) and part in name]
            assert chosen == [pytest.approx(expected)] * len(chosen) != []
    assert by_name["method.text.linear.weight"] == pytest.approx(1e-3)


def test_a_learned_temperature_has_the_base_rate_and_no_weight_decay(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, method__kind="vse_infinity", method__loss="infonce", encoder__text__lr_scale=0.1)
    model = build_method(config, open_feed(config, table))
    optimizer = make_optimizer(model, config, torch.device("cpu"))
    *decayed, last = optimizer.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert [names[id(parameter)] for parameter in last["params"]] == ["contrast.temperature.log"]
    assert last["weight_decay"] == 0 and last["scale"] == 1
    assert all(group["weight_decay"] == config.optim.weight_decay for group in decayed)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
