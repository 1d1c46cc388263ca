"""The parts of a run: its method, with or without a backbone that trains, and its batches by the table's kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.load.batches import QueryBatches, TrainBatches
from raytrain.data.table import QuerySplit, Table
from raytrain.encoders.images import VisionBackbone
from raytrain.errors import UsageError
from raytrain.methods.dvse import DVSE
from raytrain.methods.trained_backbone import TrainedBackbone
from raytrain.scoring.feed import open_feed
from raytrain.training import build
from raytrain.training.build import build_method, open_batches, refuse_other_task
from tests.encoders.tiny_models import vit
from tests.runs import tiny
from tests.tables import make_query_table, make_table


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_query_table(tmp_path_factory.mktemp("queries") / "table")


def test_weights_are_fresh_and_drawn_by_the_seed(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    feed = open_feed(config, table)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(torch.nn.utils.parameters_to_vector(build_method(config, feed).parameters()))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_method_without_a_backbone_reads_the_feeds_sizes(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    feed = open_feed(config, table)
    assert isinstance(build_method(config, feed), DVSE)
    wider = replace(feed, inputs=replace(feed.inputs, region_features=33))
    assert any(33 in parameter.shape for parameter in build_method(config, wider).parameters())


def test_each_method_has_a_backbone_of_its_own_with_the_pretrained_weights(table: Table, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    path = str(vit(tmp_path / "model"))
    config = tiny(table, tmp_path, encoder__image__kind="transformer", encoder__image__path=path)
    backbone = VisionBackbone(path)
    sizes = replace(open_feed(tiny(table, tmp_path), table).inputs, region_features=backbone.width)
    feed = replace(open_feed(tiny(table, tmp_path), table), inputs=sizes, backbone=backbone)
    first, second = build_method(config, feed), build_method(config, feed)
    assert isinstance(first, TrainedBackbone) and isinstance(second, TrainedBackbone)
    mine, theirs, pretrained = (list(module.parameters()) for module in (first.backbone, second.backbone, backbone))
    with torch.no_grad():
        for parameter in mine:
            parameter.zero_()
    assert all(torch.equal(weight, original) for weight, original in zip(theirs, pretrained, strict=True))


@pytest.mark.parametrize(
    ("of_queries", "kind", "message"),
    [
        (True, "dvse", "holds composed queries; dvse trains on images with captions"),
        (False, "rau", "holds images with captions; rau trains on composed queries"),
    ],
)
def test_a_table_of_the_other_task_is_refused(
    of_queries: bool, kind: str, message: str, table: Table, queries: Table, tmp_path: Path
) -> None:
    opened = queries if of_queries else table
    config = tiny(opened, tmp_path, method__kind=kind)
    with pytest.raises(UsageError, match=message):
        refuse_other_task(config, opened)
    split = QuerySplit(opened, "train") if of_queries else opened.split("train")
    with pytest.raises(UsageError, match=message):
        open_batches(config, split, open_feed(config, opened), ())


def test_a_table_of_the_methods_own_task_is_not(table: Table, queries: Table, tmp_path: Path) -> None:
    refuse_other_task(tiny(table, tmp_path), table)
    refuse_other_task(tiny(queries, tmp_path, method__kind="rau"), queries)


def test_batches_are_of_what_the_table_holds(table: Table, queries: Table, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"method__kind": "composed", "optim__batch_size": 12}
    composed = tiny(queries, tmp_path, **changes)
    batches = open_batches(composed, QuerySplit(queries, "train"), open_feed(composed, queries), (3,))
    assert isinstance(batches, QueryBatches)
    assert next(batches.epoch(0))["noise"].shape == (12, 3)
    captions = tiny(table, tmp_path)
    assert isinstance(open_batches(captions, table.split("train"), open_feed(captions, table), ()), TrainBatches)


@pytest.mark.parametrize(("way", "captions"), [("pair", 4), ("image", 20)])
def test_a_batch_has_pairs_or_images_with_all_their_captions(
    way: str, captions: int, table: Table, tmp_path: Path
) -> None:
    config = tiny(table, tmp_path, method__kind="dive", data__batch_by=way, optim__batch_size=4)
    batches = open_batches(config, table.split("train"), open_feed(config, table), ())
    batch = next(batches.epoch(0))
    assert (len(batch["regions"]), len(batch["text"])) == (4, captions)


def test_each_rank_has_its_own_part_of_the_batch(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(table, tmp_path, data__region_drop=0.0, data__word_drop=0.0)
    split, feed = table.split("train"), open_feed(config, table)
    whole = next(open_batches(config, split, feed, ()).epoch(0))
    monkeypatch.setattr(build, "world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr(build, "rank", lambda rank=rank: rank)
        parts.append(next(open_batches(config, split, feed, ()).epoch(0)))
    assert torch.equal(torch.cat([part["image_id"] for part in parts]), whole["image_id"])
    assert torch.equal(torch.cat([part["regions"] for part in parts]), whole["regions"])


def test_a_batch_larger_than_the_split_is_refused(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=8)
    config = tiny(table, tmp_path, optim__batch_size=100)
    wrong = r"optim\.batch_size=100 is more than the 20 captions of split 'train'; give 20 or less"
    with pytest.raises(UsageError, match=wrong):
        open_batches(config, table.split("train"), open_feed(config, table), ())
