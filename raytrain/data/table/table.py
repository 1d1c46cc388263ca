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

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.storage import Root, root_of
from raytrain.data.table.arrays import open_array
from raytrain.data.table.description import NAME, Feature, FileName, TableDescription
from raytrain.data.table.local_copy import local_copy
from raytrain.data.table.schema import ITEMS, QUERIES, TEXTS, Gallery
from raytrain.data.table.test_guard import refuse_test
from raytrain.data.table.verification import ChangedFile, verify
from raytrain.errors import DataError, Problem, RefusedError, UsageError

_BUILD_FIX = "Build the table again."
_ENCODE_FIX = "Encode the feature again with `raytrain data encode --replace`."


class Table:
    """A table on disk, opened for reading.

    Args:
        path: its folder.
        local: folder on the host's own disk; features are read from copies there, made on first use.
        verify_features: whether a feature's sha256 is checked when it is opened (raytrain/data/table/verification.py).
            Items, texts and queries always are.

    Raises:
        DataError: the folder is not a complete table.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        local: str | os.PathLike[str] | None = None,
        verify_features: bool = True,
    ) -> None:
        self.path = Path(path).expanduser().resolve()
        self.verify_features = verify_features
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

    def feature_hashes(self, names: Iterable[str]) -> dict[str, str]:
        """{file: sha256} of these features: {"minilm.npy": ..., "minilm.offsets.npy": ...}."""
        hashes = {}
        for name in names:
            if (entry := self.description.features.get(name)) is not None:
                hashes[f"{name}.npy"] = entry.sha256
                if entry.offsets_sha256:
                    hashes[f"{name}.offsets.npy"] = entry.offsets_sha256
        return hashes

    def refuse_other_features(self, recorded: Mapping[str, str]) -> None:
        """Raises RefusedError if a file of features is not the one that a run began with.

        Args:
            recorded: {file: sha256}, as `feature_hashes` gave it; {} of a run that recorded none.
        """
        hashes = self.feature_hashes(self.description.features)
        for name, digest in recorded.items():
            if (now := hashes.get(name, "")) != digest:
                raise RefusedError(
                    f"{self.path}: features {name} are not those that this began with (sha256 {now[:12] or 'none'}, "
                    f"was {digest[:12]}): they were encoded again. Encode them as they were, or train a new run on them"
                )

    def refuse_edited(self) -> None:
        """Raises RefusedError if items, texts or queries are not those that table.json describes."""
        for name, digest in self.description.files.items():
            with _refusing_changes():
                verify(self.path / name, digest, self.path)

    @property
    def image_root(self) -> Root:
        """Folder or URL that the items' files are relative to; DataError if table.json names none."""
        try:
            root = root_of(self.description.image_root, self.path)
            if isinstance(root, Path):
                root.exists()  # raises where no file system can hold such a path
            return root
        except (UsageError, ValueError, OSError, RuntimeError) as error:
            what = f"field image_root: {str(error).rstrip('.')[:200]}"
            raise DataError(Problem(str(self.path / NAME), None, what, "Write the images' folder there.")) from None

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
                f"Add one with `raytrain data encode {shlex.quote(str(self.path))} --backbone NAME`."
            )
        return features[name]

    def has(self) -> str:
        """The names and kinds of the features, for messages."""
        return ", ".join(f"{feature.name} ({feature.kind})" for feature in self.features.values()) or "none"

    def array(self, name: str) -> np.ndarray:
        """Memory-mapped (N, R, F) or (sum T, F) array.

        Raises:
            RefusedError: it was changed since it was written.
            DataError: it is missing, or of another form than table.json says.
        """
        feature = self.features[name]
        path, folder = self.path / "features" / f"{name}.npy", self.path
        with _refusing_changes():
            if self.local is not None:
                path, folder = local_copy(path, feature.sha256, self.local), self.local
            if self.verify_features:
                verify(path, feature.sha256, folder)
        rows = open_array(path)
        what = None
        if rows.shape != feature.shape or str(rows.dtype) != feature.dtype:
            what = f"{rows.shape} {rows.dtype}, table.json says {feature.shape} {feature.dtype}"
        elif not rows.flags.c_contiguous:
            what = "stored by columns (Fortran order), expected rows"
        elif feature.kind == "image" and len(rows) != len(self.items):
            what = f"{len(rows)} rows for {len(self.items)} items"
        if what:
            raise DataError(Problem(str(path), None, what, _ENCODE_FIX))
        return rows

    def offsets(self, name: str) -> np.ndarray:
        """(M + 1) int64: rows offsets[m] to offsets[m + 1] of a text feature belong to text m.

        Raises:
            RefusedError: they were changed since they were written.
            DataError: they are missing, or do not rise from 0 to the number of rows.
        """
        path, feature = self.path / "features" / f"{name}.offsets.npy", self.features[name]
        if feature.offsets_sha256 and self.verify_features:
            with _refusing_changes():
                verify(path, feature.offsets_sha256, self.path)
        offsets = open_array(path)
        rows, texts, what = feature.shape[0], len(self.texts), None
        if offsets.shape != (texts + 1,) or offsets.dtype.kind not in "iu":
            what = f"{offsets.shape} {offsets.dtype} for {texts} texts, expected integers, one more than texts"
        elif offsets[0] != 0 or offsets[-1] != rows or not (offsets[1:] > offsets[:-1]).all():
            what = f"offsets do not rise from 0 to {rows}, the number of rows"
        if what:
            raise DataError(Problem(str(path), None, what, _ENCODE_FIX))
        return offsets.astype(np.int64, copy=False)

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

    def _read(self, name: FileName, schema: pa.Schema) -> pa.Table:
        path = self.path / name
        with _refusing_changes():
            verify(path, self.description.files[name], self.path)
        try:
            with pa.memory_map(str(path)) as source:
                rows = pa.ipc.open_file(source).read_all()
            rows.validate(full=True)  # an offset outside its buffer would crash the process where it is used
            what = None if rows.schema == schema else f"columns {rows.schema.names}, expected {schema.names}"
        except Exception as error:  # false metadata makes pyarrow raise errors of many types, SystemError among them
            lines = str(error).splitlines() or [type(error).__name__]
            raise DataError(Problem(str(path), None, f"not readable: {lines[0]}", _BUILD_FIX)) from None
        for column in () if what else schema.names:
            values = rows[column]
            if values.null_count or (pa.types.is_list(values.type) and pc.list_flatten(values).null_count):
                what = f"column {column} has empty entries (null)"
        if what:
            raise DataError(Problem(str(path), None, what, _BUILD_FIX))
        return rows


@contextlib.contextmanager
def _refusing_changes() -> Iterator[None]:
    """Turns what is bad data of a table that is checked into the refusal to use it."""
    try:
        yield
    except ChangedFile as error:
        raise RefusedError(str(error)) from None


class Split:
    """Rows of one split of a table.

    Attributes:
        items: (N) rows of the table's items.
        texts: (M) rows of the table's texts, grouped by item.
        item_of_text: (M) position in `items` that each text belongs to.

    Raises:
        RefusedError: the test split, unless `allow_test`.
        DataError: texts refer to items that do not exist, or are not grouped by item.
    """

    def __init__(self, table: Table, name: str, allow_test: bool = False) -> None:
        refuse_test(name, allow_test)
        self.table = table
        self.name = name
        in_split = pc.equal(table.items["split"], name).to_numpy()
        self.items: np.ndarray = np.flatnonzero(in_split)
        owner = table.texts["item"].to_numpy()
        if len(owner) and not (owner[0] >= 0 and owner[-1] < len(table.items) and (np.diff(owner) >= 0).all()):
            what = "texts refer to items that do not exist, or are not grouped by item"
            fix = "Build the table again; `raytrain data check` names the rows."
            raise DataError(Problem(str(table.path / "texts.arrow"), None, what, fix))
        self.texts: np.ndarray = np.flatnonzero(in_split[owner])
        self.item_of_text: np.ndarray = np.searchsorted(self.items, owner[self.texts])

    def __len__(self) -> int:
        return len(self.items)
