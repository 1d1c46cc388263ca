"""The validation of an epoch: metrics, the best epoch, averaged weights, and what stops the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.data.table import AnySplit, QuerySplit, Table
from raytrain.errors import NonFiniteError, UsageError
from raytrain.methods.dvse import DVSE
from raytrain.scoring.embed import embed_split
from raytrain.scoring.feed import Feed, open_feed
from raytrain.scoring.validate import ValidationScores, validation_metrics
from raytrain.training import validation
from raytrain.training.build import build_method
from raytrain.training.train_state import TrainState
from raytrain.training.validation import validate
from tests.runs import tiny
from tests.tables import make_query_table

CPU = torch.device("cpu")


def prepared(table: Table, storage: Path, **changes: Any) -> tuple[TrainState, AnySplit, Feed]:
    config = tiny(table, storage, **changes)
    feed = open_feed(config, table)
    torch.manual_seed(config.seed)
    split: AnySplit = QuerySplit(table, "val") if table.queries is not None else table.split("val")
    return TrainState(config, build_method(config, feed), CPU), split, feed


def similarity_file(state: TrainState) -> Path:
    return state.config.folder / "evaluation" / "similarity_val.npy"


def test_metrics_are_those_of_the_split_of_training_and_of_cost(table: Table, tmp_path: Path) -> None:
    state, val, feed = prepared(table, tmp_path)
    state.train_metrics = {"train/loss": 0.5, "cost/data_wait_share": 0.1}
    metrics = validate(state, val, feed)
    expected = validation_metrics(state.model, *embed_split(state.model, val, feed, CPU), val, 64.0).metrics
    assert {name: value for name, value in metrics.items() if name.startswith("val/")} == {
        f"val/{name}": value for name, value in expected.items()
    }
    assert (metrics["train/loss"], metrics["cost/data_wait_share"]) == (0.5, 0.1)
    assert metrics["cost/index_bytes"] == 4 * 2 * 8  # two views of eight numbers
    assert metrics["cost/worker_seconds"] == state.worker_seconds > 0
    assert metrics["cost/gpu_seconds"] == 0
    assert "diagnostics/set_cosine" in metrics
    assert state.best == metrics["val/rsum"]


def test_the_best_epoch_alone_keeps_its_similarities(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, val, feed = prepared(table, tmp_path)
    results = iter((10.0, 30.0, 30.0, 20.0))

    def made_up(*given: Any) -> ValidationScores:
        value = next(results)
        return ValidationScores({"rsum": value}, torch.zeros(30, dtype=torch.int64), torch.full((30, 6), value))

    monkeypatch.setattr(validation, "validation_metrics", made_up)
    kept = []
    for step in range(1, 5):
        state.step = step
        validate(state, val, feed)
        kept.append(json.loads(similarity_file(state).with_suffix(".json").read_text())["checkpoint"][-1])
    assert kept == ["1", "2", "2", "2"]  # the earlier of equals
    assert state.best == 30


@pytest.mark.parametrize("keep", [True, False])
def test_similarities_are_kept_where_the_config_asks_for_them(keep: bool, table: Table, tmp_path: Path) -> None:
    state, val, feed = prepared(table, tmp_path, evaluation__keep_similarity=keep)
    validate(state, val, feed)
    assert similarity_file(state).exists() == keep


def test_the_averaged_weights_are_validated_and_those_that_train_come_back(table: Table, tmp_path: Path) -> None:
    state, val, feed = prepared(table, tmp_path, optim__ema_decay=0.5)
    assert state.average is not None
    plain = validate(state, val, feed)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in state.model.named_parameters():
        state.average[name] = torch.randn(parameter.shape, generator=generator)
    live = {name: value.clone() for name, value in state.model.state_dict().items()}
    averaged = validate(state, val, feed)
    assert averaged["val/rsum"] != plain["val/rsum"]
    assert all(torch.equal(value, live[name]) for name, value in state.model.state_dict().items())
    state.model.load_state_dict(state.average)
    state.average = None
    assert validate(state, val, feed)["val/rsum"] == averaged["val/rsum"]


def test_similarities_that_are_not_finite_stop_the_run_with_its_own_weights(table: Table, tmp_path: Path) -> None:
    state, val, feed = prepared(table, tmp_path, optim__ema_decay=0.5)
    assert state.average is not None
    for name, _ in state.model.named_parameters():
        state.average[name].fill_(math.nan)
    state.epoch = 3
    with pytest.raises(NonFiniteError, match="epoch 3: the validation similarities are not finite"):
        validate(state, val, feed)
    assert all(bool(value.isfinite().all()) for value in state.model.state_dict().values())


def test_an_error_while_embedding_leaves_the_weights_that_train(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, val, feed = prepared(table, tmp_path, optim__ema_decay=0.5)
    assert state.average is not None
    for value in state.average.values():
        value.fill_(0)
    live = {name: value.clone() for name, value in state.model.state_dict().items()}

    def fails(*given: Any) -> None:
        raise OSError("the features cannot be read")

    monkeypatch.setattr(validation, "embed_split", fails)
    with pytest.raises(OSError, match="cannot be read"):
        validate(state, val, feed)
    assert all(torch.equal(value, live[name]) for name, value in state.model.state_dict().items())


def test_a_selection_metric_of_another_kind_of_table_is_named_with_those_there_are(tmp_path: Path) -> None:
    queries = make_query_table(tmp_path / "queries")
    state, val, feed = prepared(
        queries, tmp_path, method__kind="composed", encoder__pooling="mean", evaluation__select="val/i2t/recall_at_1",
        optim__batch_size=12,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"val/i2t/recall_at_1 is no metric of this table; it has .*val/map_at_r"):
        validate(state, val, feed)


def test_a_selection_metric_that_is_not_finite_stops_the_run(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, val, feed = prepared(table, tmp_path)
    result = ValidationScores({"rsum": math.nan}, torch.zeros(30, dtype=torch.int64))
    monkeypatch.setattr(validation, "validation_metrics", lambda *given: result)
    with pytest.raises(NonFiniteError, match="val/rsum is nan after epoch 0"):
        validate(state, val, feed)
    assert state.best == -math.inf


def test_other_ranks_embed_their_share_and_report_nothing(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, val, feed = prepared(table, tmp_path)
    monkeypatch.setattr(validation, "rank", lambda: 1)
    assert validate(state, val, feed) == {}
    assert state.worker_seconds > 0
    assert not similarity_file(state).exists()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_training_in_half_precision_is_validated_in_float32(precision: str, table: Table, tmp_path: Path) -> None:
    state, split, feed = prepared(table, tmp_path, optim__precision=precision)  # over features that are float16
    validate(state, split, feed)
    scores = torch.from_numpy(np.load(similarity_file(state)))
    assert scores.dtype == torch.float32
    for half in (torch.float16, torch.bfloat16):
        assert not torch.equal(scores, scores.to(half).float())  # they have digits that half precision has not


def test_a_method_that_compares_in_half_precision_is_not_validated(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, split, feed = prepared(table, tmp_path)
    similarity = DVSE.similarity
    monkeypatch.setattr(DVSE, "similarity", lambda *given: similarity(*given).half())
    with pytest.raises(UsageError, match=r"DVSE\.similarity gives torch\.float16"):
        validate(state, split, feed)
