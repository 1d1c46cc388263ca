"""Plans of encodings: inputs, batches and shapes."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

from raytrain.data.build import build
from raytrain.data.encode import plan as plans
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import ImageJob, TextJob
from raytrain.data.encode.plan import image_plan, kind_of, text_plan
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import UsageError
from tests.data.pictures import entry, karpathy
from tests.encoders import tiny_models
from tests.tables import make_table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Seven images with two captions per image."""
    return build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(7)]), tmp_path / "table")


def test_a_model_with_both_towers_needs_the_kind_and_then_gives_either(table: Table, tmp_path: Path) -> None:
    clip = str(tiny_models.clip(tmp_path / "clip"))
    with pytest.raises(UsageError, match='kind="image" or kind="text"'):
        encode(table.path, clip, progress=None)
    assert encode(table.path, clip, kind="image", name="see", progress=None)["shape"] == [7, 5, 16]
    assert encode(table.path, clip, kind="text", name="read", progress=None)["shape"][1:] == [12]


def test_a_table_of_features_alone_has_nothing_to_encode(tmp_path: Path, vit: str) -> None:
    made = make_table(tmp_path / "made")
    items = made.items.set_column(1, made.items.schema.field(1), pa.array([""] * len(made.items)))
    with TableWriter(tmp_path / "table", source={"name": "made up"}) as writer:
        writer.write(items, made.texts)
    with pytest.raises(UsageError, match="nothing to encode"):
        encode(tmp_path / "table", vit, progress=None)


def test_images_are_planned_in_their_order_with_one_row_each(table: Table, vit: str) -> None:
    plan = image_plan(table, ImageJob(vit, table.image_root, "float16", "cpu", pad=1.25))
    assert (plan.name, plan.unit, plan.count, plan.shape, plan.starts) == ("vit", "images", 7, (7, 17, 16), None)
    assert plan.facts["target_pad"] == 1.25
    batches = plan.batches(range(2, 7), 2)
    assert [batch.rows.tolist() for batch in batches] == [[2, 3], [4, 5], [6]]
    assert [batch.inputs for batch in batches] == [["2.jpg", "3.jpg"], ["4.jpg", "5.jpg"], ["6.jpg"]]


def test_padding_is_stated_only_where_there_is_one(table: Table, vit: str) -> None:
    assert "target_pad" not in image_plan(table, ImageJob(vit, table.image_root, "float16", "cpu")).facts


def test_texts_start_where_the_tokens_of_the_one_before_end_and_batches_are_of_like_lengths(
    table: Table, bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "_TOKENS_AT_ONCE", 4)
    texts = ["a dog", "a dog runs on grass", "a", "a cat runs on grass ."] + ["dog"] * 10
    table = Mock(texts=pa.table({"text": texts}))
    plan = text_plan(table, TextJob(bert, "float16", "cpu"))
    lengths = [4, 7, 3, 8, *[3] * 10]  # with the tokens at both ends
    assert plan.starts is not None
    assert plan.starts.tolist() == np.cumsum([0, *lengths]).tolist()
    assert plan.shape == (sum(lengths), 12)
    batches = plan.batches(range(0, 4), 2)
    assert [batch.rows.tolist() for batch in batches] == [[2, 0], [1, 3]]  # by length
    assert batches[0].inputs == ["a", "a dog"]


def test_an_image_is_sound_or_its_fault_is_said(table: Table, vit: str) -> None:
    plan = image_plan(table, ImageJob(vit, table.image_root, "float16", "cpu"))
    (table.image_root / "3.jpg").write_bytes(b"no picture")
    assert (plan.fault(2), plan.still_broken(2)) == ("", False)
    assert plan.fault(3).startswith("not a JPEG") and plan.still_broken(3)
    assert plan.problem(3, "broken").file == str(table.image_root / "3.jpg")


@pytest.mark.parametrize(("backbone", "kind"), [("lite0", "image"), ("lite2-260", "image"), ("minilm", "text")])
def test_the_built_in_backbones_are_known_without_opening_them(backbone: str, kind: str) -> None:
    assert kind_of(backbone) == kind


def test_other_backbones_are_known_by_their_configuration(vit: str, bert: str, tmp_path: Path) -> None:
    assert (kind_of(vit), kind_of(bert)) == ("image", "text")
    with pytest.raises(UsageError, match="absent"):
        kind_of(str(tmp_path / "absent"))


def test_a_text_is_in_the_batches_of_the_shard_where_it_stands_first(
    bert: str,
) -> None:
    texts = ["a dog", "a cat", "a dog", "a dog runs", "a cat", "a dog", "a"]
    plan = text_plan(Mock(texts=pa.table({"text": texts})), TextJob(bert, "float16", "cpu"))
    assert plan.source is not None
    assert plan.source.tolist() == [0, 1, 0, 3, 1, 0, 6]
    assert [work.rows.tolist() for work in plan.batches(range(0, 4), 8)] == [[0, 1, 3]]
    assert [work.rows.tolist() for work in plan.batches(range(4, 7), 8)] == [[6]]
    rows, same = plan.copies(np.array([1, 3, 0]))
    assert rows.tolist() == [2, 4, 5]
    assert same.tolist() == [2, 0, 2]
    assert [part.tolist() for part in plan.copies(np.array([6]))] == [[], []]


def test_images_are_no_copies_of_each_other(table: Table, vit: str) -> None:
    plan = image_plan(table, ImageJob(vit, table.image_root, "float16", "cpu"))
    assert [part.tolist() for part in plan.copies(np.array([0, 1]))] == [[], []]
