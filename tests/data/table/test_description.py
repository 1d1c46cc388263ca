"""table.json: damage is named by its field, and what is read is written again byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.table import Table
from raytrain.data.table.description import NAME, FeatureEntry, TableDescription
from raytrain.data.table.table import fingerprint_of
from raytrain.errors import DataError
from raytrain.files import write_json
from tests.tables import make_query_table, make_table


def content(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return value


def test_a_description_is_written_as_it_was_read(tmp_path: Path) -> None:
    for table in (make_table(tmp_path / "pairs"), make_query_table(tmp_path / "queries")):
        before = (table.path / NAME).read_bytes()
        assert b'"offsets_sha256": ""' not in before and b"null" not in before  # what was never set is left out
        TableDescription.read(table.path).write(table.path)
        assert (table.path / NAME).read_bytes() == before


def test_the_fields_of_a_table_of_03b36b7_are_read_and_written_in_their_order(tmp_path: Path) -> None:
    """As that version wrote it, in full: its bytes are what other tables and their readers rely on."""
    feature = {"kind": "text", "shape": [9, 4], "dtype": "float16", "encoder": {"name": "minilm", "pixels": None}}
    files = {"items.arrow": "a" * 64, "texts.arrow": "b" * 64}
    old = {
        "schema": 1, "source": {"name": "karpathy", "texts_per_image": 5, "classes": {"train": 6}},
        "image_root": "images", "splits": {"train": {"items": 3, "texts": 6}}, "missing": ["7.jpg"],
        "accounts": {"allow_missing": 0, "because": {"not found": 1},
                     "splits": {"train": {"items": {"annotated": 4, "missing": 1}}}},
        "features": {"minilm": {**feature, "sha256": "c" * 64, "offsets_sha256": "d" * 64}},
        "files": files, "fingerprint": fingerprint_of(files, {}),
    }  # fmt: skip
    write_json(tmp_path / NAME, old)
    before = (tmp_path / NAME).read_bytes()
    description = TableDescription.read(tmp_path)
    assert description.features["minilm"].shape == (9, 4)
    assert description.accounts is not None and description.accounts.because == {"not found": 1}
    description.write(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_fields_of_a_newer_version_survive_a_feature_that_is_added(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    write_json(table.path / NAME, content(table.path) | {"licence": "CC BY"})
    entry = FeatureEntry(kind="image", shape=(3, 1, 4), dtype="float16", encoder={}, sha256="e" * 64)
    description = TableDescription.read(table.path)
    description.with_features({**description.features, "new": entry}).write(table.path)
    after = content(table.path)
    assert after["licence"] == "CC BY"
    assert list(after["features"])[-1] == "new" and "offsets_sha256" not in after["features"]["new"]
    assert Table(table.path).feature("new", "image").shape == (3, 1, 4)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d.pop("image_root"), "field image_root: Field required"),
        (lambda d: d["splits"]["train"].update(items="many"), "field splits.train.items: Input should be a valid int"),
        (lambda d: d["features"]["lite0"].update(shape=[3, "x"]), "field features.lite0.shape.1: Input should be a"),
        (lambda d: d["features"]["lite0"].update(kind="video"), "field features.lite0.kind: Input should be 'image'"),
        (lambda d: d.update(gallery="all"), "field gallery: Input should be 'split' or 'group'"),
        (lambda d: d["accounts"].pop("because"), "field accounts.because: Field required"),
        (lambda d: d.update(schema=2), "schema 2, this version reads 1"),
        (lambda d: d.pop("schema"), "schema None, this version reads 1"),
    ],
)
def test_damage_is_one_error_that_names_file_and_field(
    change: Callable[[dict[str, Any]], object], what: str, tmp_path: Path
) -> None:
    table = make_table(tmp_path / "table")
    description = content(table.path)
    change(description)
    write_json(table.path / NAME, description)
    with pytest.raises(DataError) as caught:
        Table(table.path)
    (problem,) = caught.value.problems
    assert problem.file == str(table.path / NAME)
    assert problem.what.startswith(what)


def test_all_damaged_fields_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"schema": 1, "source": [], "files": 3}')
    with pytest.raises(DataError) as caught:
        TableDescription.read(tmp_path)
    fields = [problem.what.partition(":")[0] for problem in caught.value.problems]
    assert fields == [f"field {name}" for name in
                      ("source", "image_root", "splits", "features", "files", "fingerprint")]  # fmt: skip
