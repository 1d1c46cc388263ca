"""Reading tables: rows, splits, features and fingerprints."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raytrain.data.check.check import check
from raytrain.data.table import QuerySplit, Table
from raytrain.data.table.description import fingerprint_of
from raytrain.data.table.schema import ITEMS, TEXTS
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.files import sha256
from tests.tables import make_query_table, make_table, redescribe


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


def replaced(table: Table, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Puts a changed array in the place of the table's."""
    path = table.path / "features" / f"{name}.npy"
    np.save(path, change(np.load(path)))


@pytest.fixture
def made(tmp_path: Path) -> Table:
    return make_table(tmp_path / "table")


def test_features_that_were_replaced_are_not_read(made: Table) -> None:
    replaced(made, "lite0", lambda rows: rows[::-1])
    with pytest.raises(RefusedError, match=r"lite0\.npy: changed after it was written"):
        made.array("lite0")
    assert Table(made.path, verify_features=False).array("lite0").shape == (24, 5, 16)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (np.asfortranarray, "stored by columns"),
        (lambda rows: rows[1:], r"\(23, 5, 16\) float16, table.json says \(24, 5, 16\) float16"),
        (lambda rows: rows.astype(np.float32), "float32, table.json says"),
        (lambda rows: rows.astype(">f2"), ">f2, table.json says"),
    ],
)
def test_features_of_another_form_are_refused_unverified_too(
    change: Callable[[np.ndarray], np.ndarray], what: str, made: Table
) -> None:
    replaced(made, "lite0", change)
    with pytest.raises(DataError, match=what):
        Table(made.path, verify_features=False).array("lite0")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[:-1], "expected integers, one more than texts"),
        (lambda rows: rows.astype(float), "expected integers, one more than texts"),
        (lambda rows: rows + 1, "do not rise from 0"),
        (lambda rows: np.concatenate([rows[:3], rows[2:-1]]), "do not rise from 0"),
    ],
)
def test_offsets_of_another_form_are_refused(
    change: Callable[[np.ndarray], np.ndarray], what: str, made: Table
) -> None:
    replaced(made, "minilm.offsets", change)
    with pytest.raises(DataError, match=what):
        made.offsets("minilm")


def rewritten(table: Table, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Puts changed rows in the place of the table's, and describes them: nothing but their content is wrong."""
    rows = getattr(table, name.partition(".")[0])
    values = rows.to_pylist()
    change(values)
    with pa.OSFile(str(table.path / name), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as out:
        out.write_table(pa.Table.from_pylist(values, rows.schema))
    describe_again(table, name)


def describe_again(table: Table, name: str) -> None:
    """Writes the hash of a changed file, and the fingerprint with it, into table.json."""

    def describe(description: dict[str, Any]) -> None:
        files = description["files"] | {name: sha256(table.path / name)}
        composed = {"gallery": description["gallery"]} if "gallery" in description else {}
        description |= {"files": files, "fingerprint": fingerprint_of(files, composed)}

    redescribe(table.path, describe)


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("items.arrow", lambda rows: rows[3].update(split=None), "column split has empty entries"),
        ("texts.arrow", lambda rows: rows[3].update(item=None), "column item has empty entries"),
        ("texts.arrow", lambda rows: rows[3].update(tokens=["a", None]), "column tokens has empty entries"),
        ("texts.arrow", lambda rows: rows[-1].update(item=24), "texts refer to items that do not exist"),
        ("texts.arrow", lambda rows: rows[0].update(item=-1), "texts refer to items that do not exist"),
        ("texts.arrow", lambda rows: rows[9].update(item=7), "or are not grouped by item"),
    ],
)
def test_rows_that_no_source_writes_are_refused_before_use_and_by_the_check(
    name: str, change: Callable[[list[dict[str, Any]]], object], what: str, made: Table
) -> None:
    rewritten(made, name, change)
    with pytest.raises(DataError, match=what) as caught:
        Table(made.path).split("train")
    assert caught.value.problems[0].file == str(made.path / name)
    assert str(made.path / name) in {problem.file for problem in check(made.path, progress=None, images=False)}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda rows: rows[0].update(reference=-1), "reference outside the items of split train"),
        (lambda rows: rows[0].update(targets=[40]), "targets outside the items of split train"),
        (lambda rows: rows[0].update(subset=[10**6]), "subset outside the items of split train"),
        (lambda rows: rows[0].update(text=10**6), "text points outside"),
        (lambda rows: rows[0].update(phrasings=0), "text points outside"),
    ],
)
def test_queries_that_refer_outside_their_split_are_refused(
    change: Callable[[list[dict[str, Any]]], object], what: str, tmp_path: Path
) -> None:
    table = make_query_table(tmp_path / "table")
    rewritten(table, "queries.arrow", change)
    with pytest.raises(DataError, match=what):
        QuerySplit(Table(table.path), "train")


def test_a_damaged_arrow_file_is_an_error_whatever_byte_is_damaged(made: Table) -> None:
    """As if its hash were right: each damage is one that could crash the process, were it used unvalidated."""
    random = np.random.default_rng(0)
    for name, rows in (("items.arrow", "items"), ("texts.arrow", "texts")):
        content = (made.path / name).read_bytes()
        for number in range(60):
            damaged = bytearray(content)
            place = int(random.integers(len(content) - 8)) // 8 * 8
            damaged[place : place + 8] = random.bytes(8) if number % 2 else b"\xff" * 8
            (made.path / name).write_bytes(damaged)
            describe_again(made, name)
            table = Table(made.path)
            with contextlib.suppress(DataError):
                getattr(table, rows).to_pylist()
        (made.path / name).write_bytes(content)


@pytest.mark.parametrize("place", ["missing", "http://x/y", "s3://[", "~no_such_user/x", "x" * 5000])
def test_an_image_root_that_is_no_place_is_an_error_of_the_table(place: str, made: Table) -> None:
    redescribe(made.path, lambda description: description.update(image_root=place))
    table = Table(made.path)
    if place == "missing":
        assert table.image_root == made.path / "missing"
        return
    with pytest.raises(DataError, match=r"table\.json: field image_root"):
        _ = table.image_root


def test_features_encoded_anew_are_not_those_that_a_run_began_with(made: Table) -> None:
    recorded = made.feature_hashes(["lite0", "absent"])
    assert list(recorded) == ["lite0.npy"]
    made.refuse_other_features(recorded)
    with pytest.raises(RefusedError, match=r"features lite0\.npy are not those that this began with"):
        made.refuse_other_features({"lite0.npy": "0" * 64})


def test_a_missing_feature_shows_the_features_there_are(table: Table) -> None:
    with pytest.raises(UsageError, match=r"It has: lite0 \(image\), minilm \(text\)"):
        table.feature("butd", "image")


def test_the_first_of_equal_texts_stands_for_all(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    sentences = table.texts["text"].to_pylist()
    assert table.first_equal_text.tolist() == [sentences.index(sentence) for sentence in sentences]
