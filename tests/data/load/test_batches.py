"""Batches of training and evaluation: order, slices of ranks, and reading ahead."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.config import DataConfig
from raytrain.data.load.batches import (
    QueryBatches,
    TrainBatches,
    image_batches,
    query_batches,
    read_ahead,
    text_batches,
    to_device,
    uploaded,
)
from raytrain.data.load.readers import Batch, Regions, TokenIds, TokenStates
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import QuerySplit, Table
from raytrain.encoders.padding import members
from raytrain.errors import UsageError
from tests.data.load.test_readers import numbers_of
from tests.gpu.fake_gpu import FakeGPU
from tests.tables import add_images, make_query_table, make_table


def batches(
    table: Table,
    rank: int = 0,
    world: int = 1,
    size: int = 20,
    seed: int = 0,
    unit: str = "pair",
    names: str = "lite0",
) -> TrainBatches:
    split = table.split("train")
    config = DataConfig(table="t", region_drop=0.4, word_drop=0.4)
    texts = TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    return TrainBatches(split, Regions(table, names), texts, config, size, seed, rank, world, unit)


def test_an_epoch_sees_each_pair_at_most_once_and_leaves_out_the_short_batch(table: Table) -> None:
    feed = batches(table, size=25)
    seen = torch.cat([batch["image_id"] for batch in feed.epoch(0)])
    assert len(seen) == 25 * (60 // 25)
    assert np.bincount(seen.numpy()).max() <= 5


def test_a_batch_of_images_holds_every_caption_of_each_and_no_other(table: Table) -> None:
    split = table.split("train")
    keep = np.sort(np.random.default_rng(0).permutation(len(split.texts))[:30])
    split.texts, split.item_of_text = split.texts[keep], split.item_of_text[keep]  # one to five captions per image
    counts = np.bincount(split.item_of_text, minlength=len(split))
    feed = batches(table, size=2, unit="image")
    feed = TrainBatches(split, feed.regions, feed.texts, feed.config, 2, 0, unit="image")
    seen = []
    for batch in feed.epoch(0):
        assert len(batch["regions"]) == len(batch["item_id"]) == 2
        assert len(batch["text"]) == len(batch["image_id"]) == counts[batch["item_id"].numpy()].sum()
        expected = np.repeat(batch["item_id"].numpy(), counts[batch["item_id"].numpy()])
        assert batch["image_id"].tolist() == expected.tolist()
        seen += batch["item_id"].tolist()
    assert len(set(counts.tolist())) > 2
    assert len(set(seen)) == len(seen) == 2 * ((counts > 0).sum() // 2)


@pytest.mark.parametrize(
    ("unit", "size", "names"), [("pair", 20, "lite0"), ("image", 4, "lite0"), ("pair", 20, "lite0,lite2")]
)
def test_two_ranks_hold_the_halves_of_what_one_rank_holds(unit: str, size: int, names: str, tmp_path: Path) -> None:
    table = add_images(make_table(tmp_path / "table"), "lite2", (5, 6))
    whole = list(batches(table, size=size, unit=unit, names=names).epoch(3))
    parts = [list(batches(table, rank, 2, size, unit=unit, names=names).epoch(3)) for rank in range(2)]
    assert whole[0]["regions"].shape[2] == (16 if names == "lite0" else 22)
    for batch, left, right in zip(whole, *parts, strict=True):
        for name in ("regions", "region_mask", "image_id", "item_id"):
            torch.testing.assert_close(torch.cat([left[name], right[name]]), batch[name])
        middle = len(left["text"])
        for half, rows in ((left, slice(0, middle)), (right, slice(middle, None))):
            width = half["text"].shape[1]
            torch.testing.assert_close(half["text"], batch["text"][rows, :width])
            assert not batch["text_mask"][rows, width:].any()


@pytest.mark.parametrize("world", [1, 2, 4])
def test_an_epoch_is_decided_by_seed_epoch_and_world_size_alone(world: int, table: Table) -> None:
    """Readers that have read other epochs before give what fresh ones give; ranks share the batch of one."""
    whole = [batch["image_id"] for batch in batches(table).epoch(3)]
    parts = [list(batches(table, rank, world).epoch(3)) for rank in range(world)]
    for rank, part in enumerate(parts):
        used = batches(table, rank, world)
        list(used.epoch(0))
        for a, b in zip(part, used.epoch(3), strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)
    for step, ids in enumerate(whole):
        assert torch.equal(torch.cat([part[step]["image_id"] for part in parts]), ids)


@pytest.mark.parametrize(
    ("unit", "size", "names"), [("pair", 20, "lite0"), ("image", 3, "lite0"), ("pair", 20, "lite0,lite2")]
)
def test_an_epoch_resumed_inside_goes_on_with_the_same_batches(
    unit: str, size: int, names: str, tmp_path: Path
) -> None:
    table = add_images(make_table(tmp_path / "table"), "lite2", (5, 6))
    feed = batches(table, size=size, unit=unit, names=names)
    whole, rest = list(feed.epoch(1)), list(feed.epoch(1, first_step=2))
    assert len(rest) == len(whole) - 2
    for a, b in zip(whole[2:], rest, strict=True):
        for name in a:
            torch.testing.assert_close(a[name], b[name])


def test_epochs_and_seeds_differ(table: Table) -> None:
    moments = ((0, 0), (0, 1), (1, 0))
    first = [next(batches(table, seed=seed).epoch(epoch))["image_id"].tolist() for seed, epoch in moments]
    assert first[0] != first[1]
    assert first[0] != first[2]


def test_a_batch_that_does_not_fit_is_refused(table: Table) -> None:
    with pytest.raises(UsageError, match="does not divide over 3 workers"):
        batches(table, 0, 3)
    with pytest.raises(UsageError, match="more than the 60 captions"):
        batches(table, size=80)
    with pytest.raises(UsageError, match="more than the 12 images with captions"):
        batches(table, size=14, unit="image")


def test_evaluation_reads_every_row_once_in_order(table: Table) -> None:
    split = table.split("val")
    regions, texts = Regions(table, "lite0"), TokenStates(table, "minilm", 64)
    images = torch.cat([b["regions"] for b in image_batches(split.items, regions, size=4)])
    np.testing.assert_array_equal(images.numpy(), table.array("lite0")[split.items].astype(np.float32))
    assert sum(len(b["text"]) for b in text_batches(split.texts, texts, size=7)) == len(split.texts)


@pytest.mark.parametrize("ahead", [0, 1, 2, 5])
def test_read_ahead_keeps_order_and_passes_errors_on(ahead: int) -> None:
    assert list(read_ahead(lambda step: step * 2, range(1, 10, 3), ahead)) == [2, 8, 14]
    assert list(read_ahead(lambda step: step, range(0, 0), ahead)) == []
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda step: 1 // (2 - step), range(5), ahead))


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_so_many_batches_are_read_before_they_are_asked_for_and_no_more(ahead: int) -> None:
    started: list[int] = []
    coming = read_ahead(lambda step: started.append(step), range(9), ahead)
    next(coming)
    deadline = time.monotonic() + 10
    while len(started) < 1 + ahead and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert sorted(started) == list(range(1 + ahead))
    coming.close()  # what is left is not read
    assert sorted(started) == list(range(1 + ahead))


def queries(table: Table, rank: int = 0, world: int = 1, size: int = 10, **changes: float) -> QueryBatches:
    config = DataConfig(table="t", region_drop=0.4, **{"word_drop": 0.4, **changes})  # type: ignore[arg-type]
    texts = TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    split = QuerySplit(table, "train")
    return QueryBatches(split, Regions(table, "lite0"), texts, config, size, 0, rank, world, (3, 2))


def test_a_batch_of_queries_knows_which_of_its_targets_answer_which_query(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    feed = queries(table, size=20, word_drop=0.0)
    split, features = feed.split, table.array("lite0").astype(np.float32)
    assert isinstance(feed.texts, TokenIds)
    ids = [numbers_of(feed.texts, text) for text in range(len(table.texts))]
    relevant, phrasings = split.relevant(), set()
    for batch in feed.epoch(0):
        place = [int(np.flatnonzero((features[split.items] == r.numpy()).all((1, 2)))[0]) for r in batch["regions"]]
        references = [
            int(np.flatnonzero((features[split.items] == r.numpy()).all((1, 2)))[0]) for r in batch["reference"]
        ]
        words = [row[mask].tolist() for row, mask in zip(batch["text"], batch["text_mask"], strict=True)]
        for reference, spoken, known_positives, target in zip(
            references, words, batch["known_positives"], place, strict=True
        ):
            # the query is the one of this reference whose two phrasings hold these words
            q = next(
                q
                for q in np.flatnonzero(split.reference == reference)
                if spoken in [ids[split.text[q]], ids[split.text[q] + 1]]
            )
            phrasings.add(spoken == ids[split.text[q]])
            assert relevant[q, target]
            assert known_positives.tolist() == relevant[q, place].tolist()
        assert not torch.equal(batch["region_mask"], batch["reference_mask"])
        assert batch["noise"].shape == (20, 3, 2)
    assert phrasings == {True, False}


def test_two_ranks_hold_the_halves_of_a_batch_of_queries(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    whole = list(queries(table).epoch(3))
    parts = [list(queries(table, rank, 2).epoch(3)) for rank in range(2)]
    assert len(whole) == 6
    for batch, left, right in zip(whole, *parts, strict=True):
        for name in ("regions", "region_mask", "reference", "reference_mask", "known_positives", "noise"):
            torch.testing.assert_close(torch.cat([left[name], right[name]]), batch[name])
    again = next(queries(table).epoch(4))
    assert not torch.equal(again["noise"], whole[0]["noise"])


def test_an_epoch_of_queries_resumed_inside_goes_on_with_the_same_batches(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    whole, rest = list(queries(table).epoch(2)), list(queries(table).epoch(2, first_step=4))
    assert len(rest) == 2
    for a, b in zip(whole[4:], rest, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_queries_are_read_in_order_with_the_phrasing_that_is_evaluated(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    split = QuerySplit(table, "val")
    texts = TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    read = list(query_batches(split, np.arange(len(split)), Regions(table, "lite0"), texts, size=25))
    assert [len(batch["text"]) for batch in read] == [25, 25, 10]
    reference = torch.cat([batch["reference"] for batch in read]).numpy()
    np.testing.assert_array_equal(reference, table.array("lite0")[split.items[split.reference]].astype(np.float32))
    assert read[0]["text"][0].tolist() == numbers_of(texts, split.text[0])
    assert all(batch["reference_mask"].all() and batch["text_mask"].all() for batch in read)


def test_queries_that_share_a_text_read_it_once_per_batch(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    split, texts = QuerySplit(table, "val"), TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    rows, regions = np.arange(len(split)), Regions(table, "lite0")
    plain = list(query_batches(split, rows, regions, texts, size=25))
    source = table.first_equal_text[split.text]
    once = list(query_batches(split, rows, regions, texts, size=25, source=source))
    for batch, each in zip(once, plain, strict=True):
        assert len(batch["text"]) == 3
        for name in ("text", "text_mask"):
            assert torch.equal(batch[name][batch["text_row"]], each[name])
        assert torch.equal(batch["reference"], each["reference"])


def test_noise_is_drawn_for_the_whole_batch_and_changes_nothing_else(table: Table) -> None:
    plain = batches(table)

    def epoch(seed: int = 0, rank: int = 0, world: int = 1, noise: tuple[int, ...] = (2, 3)) -> list[Batch]:
        parts = (plain.split, plain.regions, plain.texts, plain.config)
        return list(TrainBatches(*parts, 8, seed, rank, world, noise=noise).epoch(0))

    noisy, without = epoch(), epoch(noise=())
    assert noisy[0]["noise"].shape == (8, 2, 3)
    assert abs(float(torch.cat([batch["noise"] for batch in noisy]).std()) - 1) < 0.2
    assert not torch.equal(noisy[0]["noise"], noisy[1]["noise"])
    assert not torch.equal(noisy[0]["noise"], epoch(seed=1)[0]["noise"])
    assert "noise" not in without[0]
    for batch, same in zip(noisy, without, strict=True):
        assert all(torch.equal(batch[name], value) for name, value in same.items())
    halves = [epoch(rank=rank, world=2)[0]["noise"] for rank in range(2)]
    assert torch.equal(torch.cat(halves), noisy[0]["noise"])


def test_uploaded_batches_are_those_that_were_read_and_their_masks_stay_known(fake_gpu: FakeGPU) -> None:
    mask = torch.tensor([[True, True, False]])
    read = [[{"text": torch.ones(1, 3, dtype=torch.float16), "text_mask": mask}] for _ in range(2)]
    batches = list(uploaded(iter(read), fake_gpu.device))
    assert len(batches) == 2
    for (batch,) in batches:
        assert batch["text"].device == fake_gpu.device and batch["text"].dtype == torch.float32
        assert members(batch["text_mask"]).real is mask
        assert to_device(batch, fake_gpu.device) is batch
    assert fake_gpu.waits == []
    assert next(uploaded(iter(read), torch.device("cpu")))[0] is read[0][0]
