"""Writing tables and adding features to them; what a table is, and reading one: raytrain/data/table/table.py."""

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
from raytrain.data.table.coverage import Missing
from raytrain.data.table.description import FeatureEntry, TableDescription
from raytrain.data.table.schema import ITEMS, QUERIES, SCHEMA_VERSION, SPLITS, TEXTS, Gallery
from raytrain.data.table.table import Table, fingerprint_of, open_array
from raytrain.errors import RefusedError, UsageError
from raytrain.files import locked, sha256, sync


class TableWriter:
    """Writes a table under a temporary name beside its place and renames it when it is complete.

    Used as a context manager: an error inside leaves nothing behind.

        with TableWriter(out, source={"name": "karpathy", ...}, image_root=images) as writer:
            writer.write(items, texts)
            with writer.array("butd", "image", shape, "float16", encoder) as rows: rows[...] = ...
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
            raise UsageError(f"{self.out} exists and is no table; choose an empty or new folder for --out")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.old = (self.out.with_name(f".{self.out.name}.{end}") for end in ("part", "old"))
        self._lock = _lock_folder(self.path)
        if self.old.exists() and not self.out.exists():
            self.old.rename(self.out)  # a build was killed between its two renames
        for left in (*self.path.iterdir(), *([self.old] if self.old.exists() else [])):  # what a killed build left
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        (self.path / "features").mkdir()
        self.features: dict[str, FeatureEntry] = {}
        return self

    def write(
        self, items: pa.Table, texts: pa.Table, queries: pa.Table | None = None, gallery: Gallery = "split"
    ) -> None:
        """Items and texts, in the columns of ITEMS and TEXTS; texts grouped by item. Composed: QUERIES and gallery."""
        owner = texts["item"].to_numpy()
        assert items.schema == ITEMS and texts.schema == TEXTS
        assert (np.diff(owner) >= 0).all() and (len(owner) == 0 or 0 <= owner[0] <= owner[-1] < len(items))
        self.splits: dict[str, dict[str, int]] = {}
        names = items["split"].to_numpy()
        for name in SPLITS:
            if (names == name).any():
                self.splits[name] = {"items": int((names == name).sum()), "texts": int((names[owner] == name).sum())}
        self.tables = {"items.arrow": items, "texts.arrow": texts}
        self.composed: dict[str, Gallery] = {}
        if queries is not None:
            assert queries.schema == QUERIES
            self.tables["queries.arrow"] = queries
            self.composed = {"gallery": gallery}
            asked = queries["split"].to_numpy()
            for name, counts in self.splits.items():
                counts["queries"] = int((asked == name).sum())
        for name, table in self.tables.items():
            with pa.OSFile(str(self.path / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                out.write_table(table)

    @contextmanager
    def array(
        self, name: str, kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any]
    ) -> Iterator[np.ndarray]:
        """A memory-mapped array to fill in any order; flushed, hashed and listed on leaving."""
        with new_array(self.path / "features" / f"{name}.npy", shape, dtype) as rows:
            yield rows
        self.features[name] = feature_entry(self.path / "features" / f"{name}.npy", kind, encoder)

    @contextmanager
    def stream(
        self, name: str, kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any]
    ) -> Iterator[Callable[[np.ndarray], None]]:
        """Takes the rows of an array in their order, some at a time; they are hashed as they are written.

        Nothing is mapped, so that the process stays as small as the rows of one call, and the file is not read again.
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
            self.out.rename(self.old)
            self.path.rename(self.out)
            shutil.rmtree(self.old)
        else:
            self.path.rename(self.out)


def _lock_folder(path: Path) -> int:
    """A folder, made if need be, that is this process's alone until the handle is closed."""
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
    """List a finished feature in a table; one of that name gives way to it.

    At every moment the table is sound: a feature that is replaced is taken off the list before its array goes.

    Args:
        files: {".npy": path, ".offsets.npy": path} complete arrays on the table's file system; moved into place.
    """
    folder = table.path / "features"
    entry = feature_entry(files[".npy"], kind, encoder)
    if ".offsets.npy" in files:
        described = entry.model_dump(exclude_unset=True)
        entry = FeatureEntry(**described, offsets_sha256=sha256(files[".offsets.npy"]))
    with locked(table.path / "items.arrow"):  # written once: its lock is that of the table's list of features
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
    """What table.json says of the array in `path`."""
    rows = open_array(path)
    return _entry(kind, rows.shape, str(rows.dtype), encoder, sha256(path))


def _entry(
    kind: Literal["image", "text"], shape: tuple[int, ...], dtype: str, encoder: Mapping[str, Any], digest: str
) -> FeatureEntry:
    return FeatureEntry(kind=kind, shape=shape, dtype=dtype, encoder=dict(encoder), sha256=digest)


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype: str) -> Iterator[np.ndarray]:
    """A memory-mapped .npy to fill; flushed on leaving."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    yield rows
    rows.flush()
    del rows
