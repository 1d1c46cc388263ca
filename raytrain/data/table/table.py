"""Tables, the on-disk format of every data set: a folder that is written once, then memory-mapped.

    table.json            schema, source, counts, what is missing, features, sha256 of every file
    items.arrow           one row per image: id, file, split, group, attribution
    texts.arrow           one row per caption: id, item (row of items), text, tokens
    queries.arrow         composed retrieval only, one row per query (raytrain/data/table/queries.py)
    features/<name>.npy   (N, R, F) regions per image, or (sum T, F) token states with <name>.offsets.npy (M + 1)
    images/               only if the source copies its images into the table

Texts are grouped by item, in item order. The fingerprint covers items, texts and queries, so it identifies the gallery,
the queries and their relevant items. Each feature array has its own sha256, since a benchmark stays the same with
another encoder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.storage import Root, root_of
from raytrain.data.table.description import Feature, TableDescription
from raytrain.data.table.local_copy import local_copy
from raytrain.data.table.schema import ITEMS, QUERIES, TEXTS, Gallery
from raytrain.data.table.test_guard import refuse_test
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.files import sha256


class Table:
    """A table on disk, opened for reading.

    Args:
        path: its folder.
        local: folder on the host's own disk; features are read from copies there, made on first use.

    Raises:
        DataError: the folder is not a complete table.
    """

    def __init__(self, path: str | os.PathLike[str], local: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path).expanduser().resolve()
        self.local = None if local is None else Path(local).expanduser()
        self.description = TableDescription.read(self.path)

    @property
    def fingerprint(self) -> str:
        """sha256 over items, texts and queries, 64 hex digits."""
        return self.description.fingerprint

    def refuse_other(self, fingerprint: str) -> None:
        """Raises RefusedError if this is not the table with the fingerprint that a run began with."""
        if fingerprint != self.fingerprint:
            raise RefusedError(
                f"{self.path} is not the table that this began with: its fingerprint is {self.fingerprint[:12]}, was "
                f"{fingerprint[:12]}; restore that table, or start anew under another name"
            )

    def refuse_edited(self) -> None:
        """Compares the hashes of items, texts and queries with table.json.

        Raises:
            DataError: a file is not readable.
            RefusedError: a file has been changed.
        """
        composed = {} if self.description.gallery is None else {"gallery": self.description.gallery}
        try:
            actual = fingerprint_of({name: sha256(self.path / name) for name in self.description.files}, composed)
        except OSError as error:
            raise DataError(Problem(str(self.path), None, f"not readable: {error}", "Build the table again.")) from None
        if actual != self.fingerprint:
            raise RefusedError(
                f"{self.path} has been changed since it was built: its rows are those of fingerprint {actual[:12]}, "
                f"table.json says {self.fingerprint[:12]}. Build it again; `raytrain data check` says which file it is"
            )

    @property
    def image_root(self) -> Root:
        """Folder or URL that the items' files are relative to."""
        return root_of(self.description.image_root, self.path)

    @cached_property
    def items(self) -> pa.Table:
        """Images in the columns of ITEMS, (N) rows."""
        return self._read("items.arrow", ITEMS)

    @cached_property
    def texts(self) -> pa.Table:
        """Captions, or texts of composed queries, in the columns of TEXTS, (M) rows."""
        return self._read("texts.arrow", TEXTS)

    @cached_property
    def first_equal_text(self) -> np.ndarray:
        """(M) int64 row of the first text that is the same as each text."""
        number = self.texts["text"].combine_chunks().dictionary_encode().indices.to_numpy()
        first: np.ndarray = np.unique(number, return_index=True)[1][number]
        return first

    @cached_property
    def queries(self) -> pa.Table | None:
        """Composed queries in the columns of QUERIES; None if the table holds images and captions."""
        return self._read("queries.arrow", QUERIES) if "queries.arrow" in self.description.files else None

    @property
    def gallery(self) -> Gallery:
        """What a composed query is ranked against: all items of its "split", or those of its reference's "group"."""
        return self.description.gallery or "split"

    @property
    def features(self) -> dict[str, Feature]:
        """{name: description} of all feature arrays."""
        return {name: Feature(name=name, **dict(entry)) for name, entry in self.description.features.items()}

    def feature(self, name: str, kind: Literal["image", "text"]) -> Feature:
        """The named feature; UsageError with the names that exist if there is none."""
        features = self.features
        if name not in features or features[name].kind != kind:
            raise UsageError(
                f"{self.path} has no {kind} feature '{name}'. It has: {self.has()}. "
                f"Add one with `raytrain data encode {self.path} --backbone NAME`."
            )
        return features[name]

    def has(self) -> str:
        """The names and kinds of the features, for messages."""
        return ", ".join(f"{feature.name} ({feature.kind})" for feature in self.features.values()) or "none"

    def array(self, name: str) -> np.ndarray:
        """Memory-mapped (N, R, F) or (sum T, F) array."""
        path = self.path / "features" / f"{name}.npy"
        return open_array(path if self.local is None else local_copy(path, self.features[name].sha256, self.local))

    def offsets(self, name: str) -> np.ndarray:
        """(M + 1) int64: rows offsets[m] to offsets[m + 1] of a text feature belong to text m."""
        return open_array(self.path / "features" / f"{name}.offsets.npy")

    @property
    def splits(self) -> dict[str, dict[str, int]]:
        """Counts per split: {"train": {"items": 6000, "texts": 30000}, ...}."""
        return dict(self.description.splits)

    def split(self, name: str, allow_test: bool = False) -> Split:
        """The rows of one split.

        Raises:
            RefusedError: the test split, during training or without `allow_test`, which only final evaluation passes.
            UsageError: the split does not exist.
        """
        self.refuse_unknown_split(name)
        return Split(self, name, allow_test)

    def refuse_unknown_split(self, name: str) -> None:
        """Raises UsageError, with the names that exist, for another split."""
        if name not in self.splits:
            raise UsageError(f"{self.path} has no split '{name}'. Splits: {', '.join(self.splits)}.")

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

    def __init__(self, table: Table, name: str, allow_test: bool = False) -> None:
        refuse_test(name, allow_test)
        self.table = table
        self.name = name
        in_split = pc.equal(table.items["split"], name).to_numpy()
        self.items: np.ndarray = np.flatnonzero(in_split)
        owner = table.texts["item"].to_numpy()
        self.texts: np.ndarray = np.flatnonzero(in_split[owner])
        self.item_of_text: np.ndarray = np.searchsorted(self.items, owner[self.texts])

    def __len__(self) -> int:
        return len(self.items)


def fingerprint_of(files: Mapping[str, str], composed: Mapping[str, Any]) -> str:
    """The fingerprint of a table, 64 hex digits.

    Args:
        files: {file name: sha256} of items, texts and queries.
        composed: {"gallery": ...} for a table of composed queries, else {}.
    """
    return hashlib.sha256(json.dumps({**files, **composed}, sort_keys=True).encode()).hexdigest()


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped .npy file; nothing is unpickled.

    Raises:
        DataError: the file is missing, truncated, an object array or not a .npy file.
    """
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", "Encode or build the table again.")) from None
    except Exception as error:  # a damaged header makes numpy raise errors of many types: SyntaxError, TokenError, ...
        what = (
            "an array of Python objects, which only pickle can read" if "object" in str(error).lower() else str(error)
        )
        fix = "Save it again as a plain float16 or float32 array with np.save(..., allow_pickle=False)."
        raise DataError(Problem(str(path), None, what, fix)) from None
    return rows
