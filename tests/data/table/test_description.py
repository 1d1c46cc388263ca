"""table.json: damage is named by its field, and what is read is written again byte by byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrain.data.table import Table
from raytrain.data.table.description import NAME, FeatureEntry, TableDescription, fingerprint_of
from raytrain.errors import DataError
from raytrain.files import write_json
from tests.tables import make_query_table, make_table, redescribe


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
    assert list(content(tmp_path)) == [*old, "checksum"]
    redescribe(tmp_path, lambda written: written)
    assert content(tmp_path) == json.loads(before)


def test_fields_of_a_newer_version_survive_a_feature_that_is_added(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    redescribe(table.path, lambda description: description.update(licence="CC BY"))
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
        (
            lambda d: d["features"]["lite0"].update(shape=[24, 80]),
            "field features.lite0: shape [24, 80], expected (ite",
        ),
        (
            lambda d: d["features"]["lite0"].update(shape=[-1, 5, 16]),
            "field features.lite0.shape.0: Input should be gr",
        ),
        (lambda d: d["features"]["lite0"].update(dtype="object"), "field features.lite0.dtype: String should match"),
        (lambda d: d["features"]["lite0"].update(sha256="x"), "field features.lite0.sha256: String should match"),
        (
            lambda d: d["features"]["lite0"]["encoder"].update(global_index=5),
            "field features.lite0: encoder.global_ind",
        ),
        (
            lambda d: d["features"]["lite0"]["encoder"].update(missing=3),
            "field features.lite0: encoder.missing is no l",
        ),
        (
            lambda d: d["features"].update({"../x": d["features"]["lite0"]}),
            "field features.../x.[key]: String should m",
        ),
        (lambda d: d["files"].update({"/dev/zero": "0" * 64}), "field files./dev/zero.[key]: String should match"),
        (lambda d: d["files"].pop("items.arrow"), "field (whole file): files lacks items.arrow"),
        (lambda d: d.update(gallery="split"), "field (whole file): gallery and queries.arrow belong together"),
        (lambda d: d.update(fingerprint="0" * 64), "field (whole file): fingerprint is not that of files"),
        (lambda d: d["splits"].update(dev={}), "field splits.dev.[key]: String should match"),
        (lambda d: d["splits"]["val"].update(items=-1), "field splits.val.items: Input should be greater"),
        (lambda d: d["splits"]["val"].update(items=10**18), "field splits.val.items: Input should be less"),
        (lambda d: d["splits"]["val"].update(items=10**30), "not readable: a whole number of 31 digits"),
        (lambda d: d["accounts"].update(allow_missing=float("nan")), "field accounts.allow_missing"),
        (lambda d: d["splits"]["val"].update(items=7), "field (whole file): changed since it was written"),
        (lambda d: d["source"].update(name="cirr"), "field (whole file): changed since it was written"),
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
    assert {problem.file for problem in caught.value.problems} == {str(table.path / NAME)}
    assert caught.value.problems[0].what.startswith(what)


def test_all_damaged_fields_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"schema": 1, "source": [], "files": 3}')
    with pytest.raises(DataError) as caught:
        TableDescription.read(tmp_path)
    fields = [problem.what.partition(":")[0] for problem in caught.value.problems]
    assert fields == [f"field {name}" for name in
                      ("source", "image_root", "splits", "features", "files", "fingerprint")]  # fmt: skip


def test_many_damaged_fields_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    redescribe(table.path, lambda description: description.update(missing=[3] * 5000))
    with pytest.raises(DataError) as caught:
        Table(table.path)
    assert len(caught.value.problems) == 10
    assert caught.value.problems[-1].more == 4990


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '"x"', "[" * 50_000, '{"schema": 1, "x": ' + "1" * 5000 + "}", "\0"]
)
def test_what_is_no_description_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(DataError, match=NAME):
        Table(tmp_path)


def test_images_may_move_without_another_checksum(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    description = content(table.path)
    write_json(table.path / NAME, description | {"image_root": "/elsewhere"})
    assert str(Table(table.path).image_root) == "/elsewhere"
