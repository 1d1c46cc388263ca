"""Files of an index that were changed, cut or lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.retrieval.index.manifest import IndexManifest
from raytrain.retrieval.index.store import ENTRIES, StoredIndex, file_entry, publish, stored_index, write_entries
from tests.retrieval.index.test_manifest import FIELDS


def index_in(folder: Path, rows: int = 5, dtype: str = "float32") -> StoredIndex:
    """An index of five entries; `rows` and `dtype` of the array, whatever index.json says."""
    np.save(folder / "embeddings-0a.npy", np.arange(rows * 32).reshape(rows, 4, 8).astype(dtype))
    entries = pa.table([[f"i{n}" for n in range(5)], list(range(5)), [b"0" * 32] * 5], schema=ENTRIES)
    manifest = IndexManifest.model_validate(
        FIELDS
        | {
            "embeddings": file_entry(folder / "embeddings-0a.npy").model_dump(),
            "entries": write_entries(folder / "entries-0a.arrow", entries).model_dump(),
            "candidates": None,
        }
    )
    (folder / "embeddings-older.npy").touch()
    publish(folder, manifest)
    return stored_index(folder)


def test_files_are_opened_as_they_were_written_and_older_ones_are_gone(tmp_path: Path) -> None:
    index = index_in(tmp_path)
    assert index.embeddings().shape == (5, 4, 8) and float(index.embeddings()[1, 0, 1]) == 33
    assert index.entries()["id"].to_pylist() == ["i0", "i1", "i2", "i3", "i4"] and index.candidates() is None
    assert not (tmp_path / "embeddings-older.npy").exists()
    index.embeddings()[0] = 7  # reaches no file
    assert float(index.embeddings()[0, 0, 1]) == 1


def test_changed_and_lost_files_are_refused(tmp_path: Path) -> None:
    index = index_in(tmp_path)
    path = tmp_path / "embeddings-0a.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RefusedError, match="its sha256 differs"):
        index.embeddings()
    path.unlink()
    with pytest.raises(DataError, match="not found"):
        index.embeddings()
    with pytest.raises(UsageError, match="holds no index"):
        stored_index(tmp_path / "nothing")


@pytest.mark.parametrize(("rows", "dtype"), [(4, "float32"), (5, "float16")])
def test_an_array_of_another_form_is_named(rows: int, dtype: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.json says"):
        index_in(tmp_path, rows, dtype).embeddings()


def test_another_model_is_refused(tmp_path: Path) -> None:
    index = index_in(tmp_path)
    index.refuse_other_model("b" * 64)
    with pytest.raises(RefusedError, match="embeddings of another model: that of /r"):
        index.refuse_other_model("a" * 64)
