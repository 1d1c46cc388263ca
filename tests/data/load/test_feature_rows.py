"""Rows of feature arrays: from disk, from memory, and memory that is used again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.config import DataConfig
from raytrain.data.load import feature_rows
from raytrain.data.load.batches import QueryBatches, TrainBatches, to_device
from raytrain.data.load.feature_rows import FeatureRows
from raytrain.data.load.readers import Regions, TokenIds, TokenStates
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import QuerySplit, Table
from tests.tables import make_query_table, make_table

CPU = torch.device("cpu")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def mapped(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap:
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    np.save(path, values)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("cached_bytes", [1, 200, 2**20])
def test_rows_come_in_their_order_as_float32_and_without_loss(
    dtype: str, cached_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_rows, "CACHED_BYTES", cached_bytes)
    monkeypatch.setattr(feature_rows, "ONE_THREAD_NUMBERS", 7)
    values = mapped(tmp_path / "rows.npy", (20, 3, 8), dtype)
    feature_rows_of_file = FeatureRows(values, CPU)
    for rows in ([7, 3, 3, 19, 0], [5], []):
        taken = feature_rows_of_file.take(np.array(rows, int))
        assert taken.dtype == torch.float32
        np.testing.assert_array_equal(taken.numpy(), values[rows].astype(np.float32))
        held = feature_rows_of_file.load_to_device(np.unique(np.array(rows, int)))
        place = np.searchsorted(np.unique(rows), rows).astype(int)
        assert torch.equal(held.take(place), taken)


@pytest.mark.parametrize("row", [-1, 20])
def test_a_row_that_is_not_there_is_never_another_one(row: int, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not there"):
        FeatureRows(mapped(tmp_path / "rows.npy", (20, 8), "float32"), CPU).take(np.array([0, row]))


def test_memory_is_used_again_when_its_batch_is_gone_and_never_before(tmp_path: Path) -> None:
    rows = FeatureRows(mapped(tmp_path / "rows.npy", (20, 8), "float32"), CPU)
    first = rows.take(np.arange(10))
    place, part = first.data_ptr(), first[2:4]
    second = rows.take(np.arange(5, 15))
    assert second.data_ptr() != place
    del first
    third = rows.take(np.arange(10))
    assert third.data_ptr() not in (place, second.data_ptr())  # `part` is still on it
    assert torch.equal(part, third[2:4])
    del part
    assert rows.take(np.arange(6)).data_ptr() == place


def test_a_gradient_keeps_the_memory_it_needs(tmp_path: Path) -> None:
    rows = FeatureRows(mapped(tmp_path / "rows.npy", (20, 8), "float32"), CPU)
    weight = torch.ones(8, requires_grad=True)
    loss = (rows.take(np.arange(4)) * weight).sum()
    rows.take(np.arange(10, 14))
    loss.backward()
    assert torch.equal(weight.grad, rows.take(np.arange(4)).sum(0))  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no announcements")
def test_the_parts_of_the_file_are_announced_in_order_and_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, start, size, advice: announced.append((start, size)))
    values = mapped(tmp_path / "rows.npy", (20, 8), "float32")
    rows = FeatureRows(values, CPU)
    rows.take(np.array([9, 4, 5, 9, 3, 0]))
    first = values.offset
    assert announced == [(first, 32), (first + 3 * 32, 3 * 32), (first + 9 * 32, 32)]
    announced.clear()
    rows.load_to_device(np.arange(10)).take(np.arange(10))
    assert announced == [(first, 10 * 32)]  # what is held is not read again


def feeds(table: Table, held: bool, text: str, device: torch.device = CPU) -> TrainBatches:
    split = table.split("train")
    texts: Any = TokenStates(table, "minilm", 64, device)
    if text == "words":
        texts = TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    images = Regions(table, "lite0", device=device)
    if held:
        images = images.load_to_device(split.items)
        texts = texts.load_to_device(split.texts) if text == "states" else texts
    config = DataConfig(table="t", region_drop=0.4, word_drop=0.4)
    return TrainBatches(split, images, texts, config, 8, 0, unit="image", noise=(2,))


@pytest.mark.parametrize("text", ["states", "words"])
def test_a_split_held_in_memory_gives_the_batches_of_the_disk(text: str, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=40, ragged=True)
    for ours, theirs in zip(feeds(table, True, text).epoch(1), feeds(table, False, text).epoch(1), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("which", ["all", "global"])
def test_composed_queries_held_in_memory_give_the_batches_of_the_disk(which: str, tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    split, config = QuerySplit(table, "train"), DataConfig(table="t")
    images, texts = Regions(table, "lite0", which), TokenStates(table, "minilm", 64)
    plain = QueryBatches(split, images, texts, config, 10, 0)
    held = QueryBatches(split, images.load_to_device(split.items), texts.load_to_device(split.texts), config, 10, 0)
    for ours, theirs in zip(held.epoch(1), plain.epoch(1), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("text", ["states", "words"])
def test_a_gpu_gets_the_batches_of_the_cpu(text: str, held: bool, tmp_path: Path) -> None:
    table, device = make_table(tmp_path / "table", items=40, ragged=True), torch.device("cuda")
    for ours, theirs in zip(feeds(table, held, text, device).epoch(1), feeds(table, False, text).epoch(1), strict=True):
        assert ours["regions"].is_cuda == held
        assert held or (ours["regions"].is_pinned() and ours["regions"].dtype == torch.float16)
        moved = to_device(ours, device)
        assert all(tensor.is_cuda for tensor in moved.values())
        assert all(torch.equal(moved[name].cpu(), theirs[name]) for name in theirs)
