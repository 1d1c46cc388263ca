"""The one on-disk form of every data set: a folder that is written once, then memory-mapped and never loaded whole.

    table.json            schema, source, counts, what is missing, features, sha256 of every file
    items.arrow           one row an image: id, file, split, group, attribution
    texts.arrow           one row a caption: id, item (row of items), text, tokens
    queries.arrow         composed retrieval only, one row a query (raytrain/data/queries.py)
    features/<name>.npy   (N, R, F) regions an image, or (sum T, F) token states beside <name>.offsets.npy (M + 1)
    images/               only where the source ships its own graphics

Texts are grouped by item, in item order. The fingerprint covers items, texts and queries, so it names the gallery, the
queries and what is relevant; each feature array has its own sha256, since encoders differ while the benchmark stays
the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raytrain.data.queries import QUERIES, Gallery, QuerySplit
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.files import sha256, write_json

SCHEMA_VERSION = 1
ITEMS = pa.schema(
    [
        ("id", pa.string()),
        ("file", pa.string()),  # relative to the image root; empty where only features are known
        ("split", pa.string()),
        ("group", pa.string()),  # class or family; empty where the source has none
        ("attribution", pa.string()),  # credit the licence asks for; empty where the source has none
    ]
)
TEXTS = pa.schema(
    [
        ("id", pa.string()),
        ("item", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.list_(pa.string())),
    ]
)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Feature:
    """What table.json says of one feature array.

    Args:
        name: its name and file name.
        kind: "image" (rows are items) or "text" (rows are token states of texts, found through offsets).
        shape: of the .npy file: (N, R, F) or (sum T, F).
        dtype: "float16" or "float32".
        encoder: what made it: name, weights' sha256, pixels, layout; facts for the reader and for `retrieval`.
        sha256: of the .npy file.
        offsets_sha256: of the offsets of a text feature that was encoded; empty elsewhere.
    """

    name: str
    kind: Literal["image", "text"]
    shape: tuple[int, ...]
    dtype: str
    encoder: dict[str, Any]
    sha256: str
    offsets_sha256: str = ""


class Table:
    """A table on disk, opened for reading.

    Raises:
        DataError: the folder is no complete table.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        description = self.path / "table.json"
        try:
            self.description: dict[str, Any] = json.loads(description.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                Problem(str(description), None, "not found", "Build the table with `raytrain data build`.")
            ) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(
                Problem(str(description), None, f"not readable: {error}", "Build the table again.")
            ) from None
        if self.description.get("schema") != SCHEMA_VERSION:
            raise DataError(
                Problem(
                    str(description),
                    None,
                    f"schema {self.description.get('schema')!r}, this version reads {SCHEMA_VERSION}",
                    "Build the table again.",
                )
            )

    @property
    def fingerprint(self) -> str:
        """sha256 over items, texts and queries, 64 hex digits."""
        return str(self.description["fingerprint"])

    @property
    def image_root(self) -> Path:
        """Folder that items' files are relative to."""
        root = Path(self.description["image_root"])
        return root if root.is_absolute() else self.path / root

    @cached_property
    def items(self) -> pa.Table:
        return self._read("items.arrow", ITEMS)

    @cached_property
    def texts(self) -> pa.Table:
        return self._read("texts.arrow", TEXTS)

    @cached_property
    def queries(self) -> pa.Table | None:
        """Composed queries in the columns of QUERIES; None for a table of images and captions."""
        return self._read("queries.arrow", QUERIES) if "queries.arrow" in self.description["files"] else None

    @property
    def gallery(self) -> Gallery:
        """What a composed query is ranked against: its whole "split", or the items of its reference's "group" there."""
        return "group" if self.description.get("gallery") == "group" else "split"

    @property
    def features(self) -> dict[str, Feature]:
        return {
            name: Feature(name, **{**value, "shape": tuple(value["shape"])})
            for name, value in self.description["features"].items()
        }

    def feature(self, name: str, kind: Literal["image", "text"]) -> Feature:
        """The named feature; an error shows the names that exist."""
        features = self.features
        if name not in features or features[name].kind != kind:
            have = ", ".join(f"{f.name} ({f.kind})" for f in features.values()) or "none"
            raise UsageError(
                f"{self.path} has no {kind} feature '{name}'. It has: {have}. "
                f"Add one with `raytrain data encode {self.path} --backbone NAME`."
            )
        return features[name]

    def array(self, name: str) -> np.ndarray:
        """Memory-mapped (N, R, F) or (sum T, F) array."""
        return open_array(self.path / "features" / f"{name}.npy")

    def offsets(self, name: str) -> np.ndarray:
        """(M + 1) int64: rows offsets[m] to offsets[m + 1] of a text feature belong to text m."""
        return open_array(self.path / "features" / f"{name}.offsets.npy")

    @property
    def splits(self) -> dict[str, dict[str, int]]:
        """{"train": {"items": 6000, "texts": 30000}, ...}"""
        return dict(self.description["splits"])

    def split(self, name: str, allow_test: bool = False) -> Split:
        """The rows of one split.

        Raises:
            RefusedError: the test split, unless `allow_test` (which only final evaluation passes).
        """
        self._open(name, allow_test)
        return Split(self, name)

    def query_split(self, name: str, allow_test: bool = False) -> QuerySplit:
        """The composed queries of one split, with its items as gallery.

        Raises:
            RefusedError: the test split, unless `allow_test` (which only final evaluation passes).
            UsageError: a table of images and captions, or a split that does not exist.
        """
        if self.queries is None:
            raise UsageError(f"{self.path} has no composed queries; it holds images and captions")
        self._open(name, allow_test)
        return QuerySplit(self, name)

    def _open(self, name: str, allow_test: bool) -> None:
        if name not in self.splits:
            raise UsageError(f"{self.path} has no split '{name}'. Splits: {', '.join(self.splits)}.")
        if name == "test" and not allow_test:
            raise RefusedError("the test split opens only to `raytrain evaluate --split test`")

    def _read(self, name: str, schema: pa.Schema) -> pa.Table:
        path = self.path / name
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(Problem(str(path), None, f"not readable: {error}", "Build the table again.")) from None
        if table.schema != schema:
            raise DataError(Problem(str(path), None, f"columns {table.schema.names}", "Build the table again."))
        return table


class Split:
    """Rows of one split of a table.

    Attributes:
        items: (N) rows of the table's items.
        texts: (M) rows of the table's texts, grouped by item.
        item_of_text: (M) position in `items` that each text belongs to.
    """

    def __init__(self, table: Table, name: str) -> None:
        self.table = table
        self.name = name
        in_split = np.asarray(table.items["split"].to_numpy() == name)
        self.items: np.ndarray = np.flatnonzero(in_split)
        owner = table.texts["item"].to_numpy()
        self.texts: np.ndarray = np.flatnonzero(in_split[owner])
        self.item_of_text: np.ndarray = np.searchsorted(self.items, owner[self.texts])

    def __len__(self) -> int:
        return len(self.items)


AnySplit = Split | QuerySplit


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
        image_root: str | os.PathLike[str] = "images",
        missing: Sequence[str] = (),
    ) -> None:
        self.out = Path(out).expanduser().resolve()
        self.source = dict(source)
        self.image_root = os.fspath(image_root)
        self.missing = list(missing)

    def __enter__(self) -> TableWriter:
        if self.out.exists() and not (self.out / "table.json").exists() and any(self.out.iterdir()):
            raise UsageError(f"{self.out} exists and is no table; choose an empty or new folder for --out")
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", dir=self.out.parent))
        self.path.chmod(0o755)
        (self.path / "features").mkdir()
        self.features: dict[str, dict[str, Any]] = {}
        return self

    def write(
        self, items: pa.Table, texts: pa.Table, queries: pa.Table | None = None, gallery: Gallery = "split"
    ) -> None:
        """Items and texts, in the columns of ITEMS and TEXTS; texts grouped by item. Composed: QUERIES and gallery."""
        owner = texts["item"].to_numpy()
        assert items.schema == ITEMS and texts.schema == TEXTS
        assert (np.diff(owner) >= 0).all() and (len(owner) == 0 or 0 <= owner[0] <= owner[-1] < len(items))
        self.splits = {}
        names = items["split"].to_numpy()
        for name in SPLITS:
            if (names == name).any():
                self.splits[name] = {"items": int((names == name).sum()), "texts": int((names[owner] == name).sum())}
        self.tables = {"items.arrow": items, "texts.arrow": texts}
        self.composed: dict[str, Any] = {}
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
        """A memory-mapped array to fill; flushed, hashed and listed on leaving."""
        with new_array(self.path / "features" / f"{name}.npy", shape, dtype) as rows:
            yield rows
        self.features[name] = feature_entry(self.path / "features" / f"{name}.npy", kind, encoder)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        files = {name: sha256(self.path / name) for name in self.tables}
        description = {
            "schema": SCHEMA_VERSION,
            "source": self.source,
            "image_root": self.image_root,
            "splits": self.splits,
            "missing": self.missing,
            **self.composed,
            "features": self.features,
            "files": files,
            "fingerprint": hashlib.sha256(json.dumps({**files, **self.composed}, sort_keys=True).encode()).hexdigest(),
        }
        write_json(self.path / "table.json", description)
        if self.out.exists():
            old = self.out.with_name(f".{self.out.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            self.out.rename(old)
            self.path.rename(self.out)
            shutil.rmtree(old)
        else:
            self.path.rename(self.out)


def add_feature(
    table: Table, name: str, kind: Literal["image", "text"], encoder: Mapping[str, Any], files: Mapping[str, Path]
) -> None:
    """List a finished feature in a table.

    Args:
        files: {".npy": path, ".offsets.npy": path} complete arrays on the table's file system; moved into place.
    """
    folder = table.path / "features"
    entry = feature_entry(files[".npy"], kind, encoder)
    if ".offsets.npy" in files:
        entry["offsets_sha256"] = sha256(files[".offsets.npy"])
    for suffix, path in files.items():
        os.replace(path, folder / f"{name}{suffix}")
    description = json.loads((table.path / "table.json").read_text(encoding="utf-8"))
    description["features"][name] = entry
    write_json(table.path / "table.json", description)
    table.description = description


def feature_entry(path: Path, kind: str, encoder: Mapping[str, Any]) -> dict[str, Any]:
    rows = open_array(path)
    return {
        "kind": kind,
        "shape": list(rows.shape),
        "dtype": str(rows.dtype),
        "encoder": dict(encoder),
        "sha256": sha256(path),
    }


@contextmanager
def new_array(path: Path, shape: tuple[int, ...], dtype: str) -> Iterator[np.ndarray]:
    """A memory-mapped .npy to fill; flushed on leaving."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    yield rows
    rows.flush()
    del rows


def open_array(path: Path) -> np.ndarray:
    """A .npy file, memory-mapped; never unpickles.

    Raises:
        DataError: missing, truncated, an object array or no .npy file.
    """
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", "Encode or build the table again.")) from None
    except (OSError, ValueError) as error:
        what = (
            "an array of Python objects, which only pickle can read" if "object" in str(error).lower() else str(error)
        )
        fix = "Save it again as a plain float16 or float32 array with np.save(..., allow_pickle=False)."
        raise DataError(Problem(str(path), None, what, fix)) from None
    return rows
