"""Writing tables, and adding features to them; raytrain/data/table/table.py describes the format and reads it."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raytrain.data.storage import Root
from raytrain.data.table.arrays import open_array
from raytrain.data.table.coverage import Missing
from raytrain.data.table.description import FeatureEntry, FileName, TableDescription, fingerprint_of
from raytrain.data.table.schema import ITEMS, QUERIES, SCHEMA_VERSION, SPLITS, TEXTS, Gallery
from raytrain.data.table.shared_captions import shared_captions
from raytrain.data.table.table import Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.errors import RefusedError, UsageError, argument
from raytrain.files import locked, sha256, sync


class TableWriter:
    """Writes a table under a temporary name next to its place, and renames it once it is complete.

    It is a context manager: an error in the body leaves nothing behind.

        with TableWriter(out, source={"name": "karpathy", ...}, image_root=images) as writer:
            writer.write(items, texts)
            with writer.array("butd", "image", shape, "float16", encoder) as rows: rows[...] = ...

    Args:
        out: folder of the new table; a table there is replaced.
        source: name and options of the source, for table.json.
        image_root: what the items' files are relative to; "images" is the table's own folder.
        missing: what the table leaves out.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        source: Mapping[str, Any],
        image_root: Root | str = "images",
        missing: Missing | None = None,
    ) -> None:
        self.out = Path(out).expanduser().resolve()
        self.source = dict(source)
        self.image_root = str(image_root)
        self.missing = missing or Missing()

    def __enter__(self) -> TableWriter:
        if self.out.exists() and not (self.out / "table.json").exists() and any(self.out.iterdir()):
            raise UsageError(f"{self.out} exists and is no table; choose an empty or new folder for {argument('out')}")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.old = (self.out.with_name(f".{self.out.name}.{end}") for end in ("part", "old"))
        self._lock = _lock_folder(self.path)
        if self.old.exists() and not self.out.exists():
            self.old.rename(self.out)  # a build was killed between its two renames
        for remains in (*self.path.iterdir(), *([self.old] if self.old.exists() else [])):  # of a killed build
            shutil.rmtree(remains) if remains.is_dir() else remains.unlink()
        (self.path / "features").mkdir()
        self.features: dict[str, FeatureEntry] = {}
        return self

    def write(
        self, items: pa.Table, texts: pa.Table, queries: pa.Table | None = None, gallery: Gallery = "split"
    ) -> None:
        """Writes the rows of the table.

        Args:
            items: in the columns of ITEMS.
            texts: in the columns of TEXTS, grouped by item.
            queries: in the columns of QUERIES; None for a table of images and captions.
            gallery: what composed queries are ranked against.
        """
        owner = texts["item"].to_numpy()
        assert items.schema == ITEMS and texts.schema == TEXTS
        assert (np.diff(owner) >= 0).all() and (len(owner) == 0 or 0 <= owner[0] <= owner[-1] < len(items))
        self.splits: dict[str, dict[str, int]] = {}
        names = items["split"].to_numpy()
        for name in SPLITS:
            if (names == name).any():
                self.splits[name] = {"items": int((names == name).sum()), "texts": int((names[owner] == name).sum())}
        self.tables: dict[FileName, pa.Table] = {"items.arrow": items, "texts.arrow": texts}
        self.composed: dict[str, Gallery] = {}
        if queries is None and (shared := shared_captions(texts["text"].to_pylist(), owner, names)):
            self.source["shared_texts"] = shared
        if queries is not None:
            assert queries.schema == QUERIES
            self.tables["queries.arrow"] = queries
            self.composed = {"gallery": gallery}
            query_split = queries["split"].to_numpy()
            for name, counts in self.splits.items():
                counts["queries"] = int((query_split == name).sum())
        for name, table in self.tables.items():
            with pa.OSFile(str(self.path / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                out.write_table(table)

    @contextmanager
    def array(
        self, name: str, kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any]
    ) -> Iterator[np.ndarray]:
        """A memory-mapped array to fill in any order; it is flushed, hashed and listed at the end of the body."""
        with new_array(self.path / "features" / f"{name}.npy", shape, dtype) as rows:
            yield rows
        self.features[name] = feature_entry(self.path / "features" / f"{name}.npy", kind, encoder)

    @contextmanager
    def stream(
        self, name: str, kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any]
    ) -> Iterator[Callable[[np.ndarray], None]]:
        """A function that takes the rows of an array in order, some per call, and hashes them while it writes them.

        Nothing is mapped, so the memory needed is that of one call's rows, and the file is not read again.
        """
        header = io.BytesIO()
        facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, facts)
        digest, written = hashlib.sha256(header.getvalue()), 0
        with open(self.path / "features" / f"{name}.npy", "wb") as file:
            file.write(header.getvalue())

            def put(rows: np.ndarray) -> None:
                nonlocal written
                assert rows.shape[1:] == shape[1:] and rows.dtype == dtype
                data = np.ascontiguousarray(rows).data
                digest.update(data)
                file.write(data)
                written += len(rows)

            yield put
        assert written == shape[0]
        self.features[name] = _entry(kind, shape, dtype, encoder, digest.hexdigest())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is not None:
                shutil.rmtree(self.path, ignore_errors=True)
            else:
                self._finish()
        finally:
            os.close(self._lock)

    def _finish(self) -> None:
        files = {name: sha256(self.path / name) for name in self.tables}
        description = TableDescription(
            schema=SCHEMA_VERSION,
            source=self.source,
            image_root=self.image_root,
            splits=self.splits,
            missing=self.missing.ids,
            accounts=self.missing.accounts(self.splits),
            **self.composed,
            features=self.features,
            files=files,
            fingerprint=fingerprint_of(files, self.composed),
        )
        description.write(self.path)
        if self.out.exists():
            if (counted := self.out / OPENINGS).exists():  # a table that is built again goes on counting
                shutil.copyfile(counted, self.path / OPENINGS)
            self.out.rename(self.old)
            self.path.rename(self.out)
            shutil.rmtree(self.old)
        else:
            self.path.rename(self.out)


def _lock_folder(path: Path) -> int:
    """The descriptor of a folder, made if missing, which no other process can lock until it is closed.

    Raises:
        RefusedError: another process holds the lock.
    """
    path.mkdir(exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise RefusedError(f"another process is writing {path}; wait for it") from None
    except OSError:
        pass  # a file system without locks
    return handle


def add_feature(
    table: Table, name: str, kind: Literal["image", "text"], encoder: Mapping[str, Any], files: Mapping[str, Path]
) -> None:
    """Adds a finished feature to a table, or replaces one of that name.

    The table is valid at every moment: a replaced feature is removed from table.json before its array is.

    Args:
        table: that gets the feature.
        name: of the feature.
        kind: "image" or "text".
        encoder: facts about how it was made, for table.json.
        files: {".npy": path, ".offsets.npy": path} of complete arrays on the table's file system; they are moved.
    """
    folder = table.path / "features"
    entry = feature_entry(files[".npy"], kind, encoder)
    if ".offsets.npy" in files:
        described = entry.model_dump(exclude_unset=True)
        entry = FeatureEntry(**described, offsets_sha256=sha256(files[".offsets.npy"]))
    with locked(table.path / "items.arrow"):  # a file that is never rewritten, so it serves as the table's lock
        description = TableDescription.read(table.path)
        others = {other: feature for other, feature in description.features.items() if other != name}
        if name in description.features:
            description.with_features(others).write(table.path)
        for suffix, path in sorted(files.items(), reverse=True):  # the array last
            os.replace(path, folder / f"{name}{suffix}")
        sync(folder)
        description = description.with_features({**others, name: entry})
        description.write(table.path)
    table.description = description


def feature_entry(path: Path, kind: Literal["image", "text"], encoder: Mapping[str, Any]) -> FeatureEntry:
    """The description of an array for table.json; hashes its file."""
    rows = open_array(path)
    return _entry(kind, rows.shape, str(rows.dtype), encoder, sha256(path))


def _entry(
    kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any], digest: str
) -> FeatureEntry:
    return FeatureEntry(kind=kind, shape=shape, dtype=dtype, encoder=dict(encoder), sha256=digest)


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype: str) -> Iterator[np.ndarray]:
    """A memory-mapped .npy to fill; it is flushed at the end of the body."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    yield rows
    rows.flush()
    del rows
