"""Reading tables: rows, splits, features and fingerprints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytrain.data.table import Table
from raytrain.data.table.schema import ITEMS, TEXTS
from raytrain.data.table.table import open_array
from raytrain.errors import DataError, RefusedError, UsageError
from tests.tables import make_query_table, make_table


def test_a_table_reads_back_what_was_written(table: Table) -> None:
    assert table.splits == {
        "train": {"items": 12, "texts": 60},
        "val": {"items": 6, "texts": 30},
        "test": {"items": 6, "texts": 30},
    }
    assert table.items.schema == ITEMS
    assert table.texts.schema == TEXTS
    assert table.array("lite0").shape == (24, 5, 16)
    assert isinstance(table.array("lite0"), np.memmap)
    offsets = table.offsets("minilm")
    assert offsets[-1] == len(table.array("minilm"))


def test_a_split_maps_its_texts_to_its_items(table: Table) -> None:
    split = table.split("val")
    owner = table.texts["item"].to_numpy()[split.texts]
    np.testing.assert_array_equal(split.items[split.item_of_text], owner)
    assert (np.diff(split.item_of_text) >= 0).all()


def test_the_test_split_is_closed_unless_evaluation_opens_it(table: Table) -> None:
    with pytest.raises(RefusedError, match="evaluate --split test"):
        table.split("test")
    assert len(table.split("test", allow_test=True)) == 6
    with pytest.raises(UsageError, match="Splits: train, val, test"):
        table.split("dev")


def test_the_fingerprint_names_the_benchmark_and_not_the_encoder(tmp_path: Path) -> None:
    first = make_table(tmp_path / "a")
    again = make_table(tmp_path / "b")
    other_features = make_table(tmp_path / "c", features=20)
    fewer = make_table(tmp_path / "d", items=20)
    assert first.fingerprint == again.fingerprint == other_features.fingerprint
    assert first.fingerprint != fewer.fingerprint
    assert first.features["lite0"].sha256 != other_features.features["lite0"].sha256


@pytest.mark.parametrize("content", [None, "{", '{"schema": 99}'])
def test_a_folder_without_a_readable_description_is_refused_by_name(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "table.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"table\.json"):
        Table(tmp_path)


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects") as error:
        open_array(tmp_path / "x.npy")
    assert error.value.problems[0].file.endswith("x.npy")


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100, 10)))
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"x\.npy"):
        open_array(tmp_path / "x.npy")


def test_a_missing_feature_shows_the_features_there_are(table: Table) -> None:
    with pytest.raises(UsageError, match=r"It has: lite0 \(image\), minilm \(text\)"):
        table.feature("butd", "image")


def test_the_first_of_equal_texts_stands_for_all(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    sentences = table.texts["text"].to_pylist()
    assert table.first_equal_text.tolist() == [sentences.index(sentence) for sentence in sentences]
