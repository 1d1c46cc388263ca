"""Writing tables, and adding features to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.check.check import check
from raytrain.data.table import Table
from raytrain.data.table import writer as writing
from raytrain.data.table.test_guard import OPENINGS
from raytrain.data.table.writer import TableWriter, add_feature
from raytrain.errors import RefusedError, UsageError
from raytrain.files import sha256
from tests.data.pictures import left_behind
from tests.tables import make_table


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "t", source={}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_replacing_keeps_the_old_table(tmp_path: Path) -> None:
    before = make_table(tmp_path / "t")
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "t", source={}):
        raise RuntimeError
    assert Table(tmp_path / "t").fingerprint == before.fingerprint


def test_a_folder_that_is_no_table_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and is no table"), TableWriter(tmp_path / "mine", source={}):
        pass
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_the_description_lists_the_hash_of_every_file(table: Table) -> None:
    description = json.loads((table.path / "table.json").read_text(encoding="utf-8"))
    assert set(description["files"]) == {"items.arrow", "texts.arrow"}
    assert all(len(feature["sha256"]) == 64 for feature in description["features"].values())


def encoded(path: Path, values: np.ndarray) -> dict[str, Path]:
    """The files of a finished feature, outside its table."""
    np.save(path / "rows.npy", values)
    return {".npy": path / "rows.npy"}


ROWS = np.arange(24 * 2 * 3, dtype=np.float16).reshape(24, 2, 3)


@pytest.mark.parametrize("step", [24, 7])
def test_an_array_that_is_streamed_is_the_one_that_is_filled(step: int, table: Table, tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t", source={}) as writer:
        writer.write(table.items, table.texts)
        with writer.array("filled", "image", ROWS.shape, "float16", {"backbone": "x"}) as rows:
            rows[...] = ROWS
        with writer.stream("streamed", "image", ROWS.shape, "float16", {"backbone": "x"}) as put:
            for start in range(0, 24, step):
                put(ROWS[start : start + step])
    made = Table(tmp_path / "t")
    filled, streamed = made.features["filled"], made.features["streamed"]
    assert (filled.sha256, filled.shape, filled.dtype) == (streamed.sha256, streamed.shape, streamed.dtype)
    assert sha256(made.path / "features" / "streamed.npy") == streamed.sha256
    np.testing.assert_array_equal(made.array("streamed"), ROWS)


def test_a_table_that_is_replaced_stays_until_the_new_one_is_complete(table: Table, tmp_path: Path) -> None:
    make_table(tmp_path / "t", items=20)
    with TableWriter(tmp_path / "t", source={}) as writer:
        writer.write(table.items, table.texts)
        assert len(Table(tmp_path / "t").items) == 20
    assert Table(tmp_path / "t").fingerprint == table.fingerprint
    assert left_behind(tmp_path) == ["t"]


def test_what_a_killed_build_left_is_removed_and_a_table_between_two_names_is_kept(tmp_path: Path) -> None:
    before = make_table(tmp_path / "t")
    (tmp_path / "t").rename(tmp_path / ".t.old")  # a kill between the two renames
    (tmp_path / ".t.part" / "features").mkdir(parents=True)
    (tmp_path / ".t.part" / "items.arrow").write_text("half of it")
    with TableWriter(tmp_path / "t", source={}) as writer:
        assert left_behind(writer.path) == ["features"]
        assert Table(tmp_path / "t").fingerprint == before.fingerprint
        writer.write(before.items, before.texts)
    assert left_behind(tmp_path) == ["t"]


def test_only_one_process_writes_a_table(table: Table, tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t", source={}) as writer:
        with pytest.raises(RefusedError, match="another process is writing"), TableWriter(tmp_path / "t", source={}):
            pass
        writer.write(table.items, table.texts)
    assert Table(tmp_path / "t").fingerprint == table.fingerprint


def test_a_feature_is_added_and_replaced_without_touching_the_others(tmp_path: Path) -> None:
    made = make_table(tmp_path / "t")
    add_feature(made, "new", "image", {"backbone": "a"}, encoded(tmp_path, ROWS))
    assert set(made.features) == set(Table(made.path).features) == {"lite0", "minilm", "new"}
    add_feature(made, "new", "image", {"backbone": "b"}, encoded(tmp_path, ROWS + 1))
    again = Table(made.path)
    assert (again.features["new"].encoder, again.fingerprint) == ({"backbone": "b"}, made.fingerprint)
    np.testing.assert_array_equal(again.array("new"), ROWS + 1)
    assert check(made.path, None, images=False) == []


def test_a_kill_while_a_feature_is_replaced_leaves_a_table_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_table(tmp_path / "t")
    add_feature(made, "new", "image", {}, encoded(tmp_path, ROWS))
    monkeypatch.setattr(writing, "sync", lambda path: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        add_feature(Table(made.path), "new", "image", {}, encoded(tmp_path, ROWS + 1))
    assert set(Table(made.path).features) == {"lite0", "minilm"}
    assert check(made.path, None, images=False) == []


def test_a_table_that_is_built_again_goes_on_counting_openings_of_its_test(tmp_path: Path) -> None:
    make_table(tmp_path / "t")
    (tmp_path / "t" / OPENINGS).write_text('{"id": "1", "test": "t"}\n')
    make_table(tmp_path / "t", seed=1)
    assert (tmp_path / "t" / OPENINGS).read_text() == '{"id": "1", "test": "t"}\n'
