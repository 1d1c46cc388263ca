"""`data check` finds what was changed after a table was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import Problem
from raytrain.files import sha256
from tests.data.pictures import entry, karpathy
from tests.tables import make_table, redescribe


def problems_of(path: Path, images: bool = False) -> list[Problem]:
    return check(path, progress=None, images=images)


@pytest.fixture
def made(tmp_path: Path) -> Table:
    return make_table(tmp_path / "table")


def rewrite(table: Table, change: Callable[[np.ndarray], None], name: str = "lite0", rehash: bool = True) -> Path:
    """Change an array in place; its hash is corrected so that only the content is wrong."""
    path = table.path / "features" / f"{name}.npy"
    rows = np.load(path)
    change(rows)
    np.save(path, rows)
    if rehash and name in table.features:
        redescribe(table.path, lambda d: d["features"][name].update(sha256=sha256(path)))
    return path


def test_a_sound_table_has_no_problems(made: Table) -> None:
    assert problems_of(made.path) == []


def test_one_changed_byte_is_found_in_every_file(made: Table) -> None:
    for name in ("items.arrow", "texts.arrow", "features/lite0.npy", "features/minilm.npy"):
        path = made.path / name
        content = path.read_bytes()
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        assert any(p.file == str(path) for p in problems_of(made.path)), name
        path.write_bytes(content)
    assert problems_of(made.path) == []


def test_features_that_are_not_finite_are_named_by_row(made: Table) -> None:
    def spoil(rows: np.ndarray) -> None:
        rows[3, 0, 0] = np.nan
        rows[5, 1, 2] = np.inf

    path = rewrite(made, spoil)
    assert [(p.file, p.row) for p in problems_of(made.path)] == [(str(path), 3), (str(path), 5)]


def test_offsets_that_fall_or_end_early_are_found(made: Table) -> None:
    def spoil(rows: np.ndarray) -> None:
        rows[4] = rows[3]
        rows[-1] += 1

    path = rewrite(made, spoil, "minilm.offsets")
    assert [(p.file, p.row) for p in problems_of(made.path)] == [(str(path), 4), (str(path), None)]


def test_a_feature_that_is_gone_or_has_another_shape_is_found(made: Table) -> None:
    redescribe(made.path, lambda d: d["features"]["lite0"].update(shape=[24, 5, 15]))
    (made.path / "features" / "minilm.npy").unlink()
    problems = problems_of(made.path)
    assert ["table.json says (24, 5, 15)" in p.what for p in problems] == [True, False]
    assert problems[1].file.endswith("minilm.npy")


def test_counts_of_the_description_are_compared(made: Table) -> None:
    redescribe(made.path, lambda d: d["splits"]["val"].update(items=1))
    (problem,) = problems_of(made.path)
    assert "split val" in problem.what


def test_a_split_that_the_description_lacks_is_found(made: Table) -> None:
    redescribe(made.path, lambda d: d["splits"].pop("val"))
    (problem,) = problems_of(made.path)
    assert problem.what == "split val has 6 items, table.json has no such split"


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("name", ["table.json", "items.arrow", "features/lite0.npy", "features/minilm.offsets.npy"])
def test_named_pipes_devices_and_loops_in_a_table_are_problems_and_are_not_opened(name: str, made: Table) -> None:
    makers: tuple[Callable[[Path], None], ...] = (os.mkfifo, link_to_device, link_to_itself)
    for make in makers:
        (made.path / name).unlink()
        make(made.path / name)
        assert str(made.path / name) in {problem.file for problem in problems_of(made.path)}


def test_a_file_in_two_splits_and_a_repeated_id_are_found(tmp_path: Path) -> None:
    sound = make_table(tmp_path / "sound")
    items = sound.items.to_pylist()
    items[2]["file"] = items[0]["file"]  # row 0 is train, row 2 val
    items[7]["id"] = items[6]["id"]
    items[8]["split"] = "training"
    with TableWriter(tmp_path / "table", source={"name": "made up"}) as writer:
        writer.write(pa.Table.from_pylist(items, sound.items.schema), sound.texts)
    problems = problems_of(tmp_path / "table")
    # and the accounts count the image of no split as well
    assert {(p.row, p.what.split()[0]) for p in problems} == {(2, "file"), (7, "id"), (8, "split"), (None, "23")}


def test_captions_are_counted_against_what_the_source_was_built_with(tmp_path: Path) -> None:
    table = build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(3)]), tmp_path / "table")
    assert problems_of(table.path) == []
    redescribe(table.path, lambda d: d["source"].update(texts_per_image=1))
    assert {(p.row, p.what, p.level) for p in problems_of(table.path)} == {
        (row, "2 captions, built with texts_per_image=1", "error") for row in range(3)
    }
    redescribe(table.path, lambda d: d["source"].update(texts_per_image=5))
    assert {(p.row, p.level) for p in problems_of(table.path)} == {(row, "warning") for row in range(3)}


def test_what_is_no_table_is_said_once_for_each_field(tmp_path: Path) -> None:
    assert "not found" in problems_of(tmp_path)[0].what
    (tmp_path / "table.json").write_text('{"schema": 1}')
    assert problems_of(tmp_path)[0].what == "field source: Field required"


def test_images_are_decoded_and_named_by_row(tmp_path: Path) -> None:
    table = build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(4)]), tmp_path / "table")
    assert problems_of(table.path, images=True) == []
    path = table.image_root / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    (table.image_root / "3.jpg").unlink()
    problems = problems_of(table.path, images=True)
    assert [(p.file, p.row) for p in problems] == [(str(path), 1), (str(table.image_root / "3.jpg"), 3)]
    assert "truncated" in problems[0].what
