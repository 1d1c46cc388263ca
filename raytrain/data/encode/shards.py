"""Shards of an encoding: an array that is written part by part, so that a killed encoding can continue.

    <table>/encoding/<name>/           of a feature; an index of embeddings has encoding/embeddings/
        encoding.json    the encoding: table, encoder, settings, versions
        rows.npy         the array in its final form; each row is written directly to its place
        shards.jsonl     one line per complete shard: its number, sha256 of its rows, images without features

A shard is a fixed number of items or texts. Its line is written once its rows are on the disk, and contains the key of
the encoding. A later run with the same key reuses the shards whose rows match their line, and writes the others. At the
end the array is moved to its place (`features/`): nothing is copied, and the disk holds it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from raytrain.errors import RefusedError
from raytrain.files import locked, need_room, room_in, sync, write_json

_CHUNK_BYTES = 1 << 24

Broken = list[tuple[int, str]]  # (row of the table's items, what is wrong) per image without features


@dataclass(frozen=True)
class ShardLayout:
    """How an array is divided into shards.

    Args:
        shape, dtype: of the array.
        count: number N of items or texts.
        items: items or texts per shard.
        starts: (N + 1) first row of each item or text in the array; None if each has one row.
    """

    shape: tuple[int, ...]
    dtype: str
    count: int
    items: int
    starts: np.ndarray | None = None

    @cached_property
    def row_bytes(self) -> int:
        """Bytes per row of the array."""
        return int(np.prod(self.shape[1:])) * np.dtype(self.dtype).itemsize

    def span(self, shard: int) -> range:
        """The items or texts of a shard."""
        return range(shard * self.items, min((shard + 1) * self.items, self.count))

    def rows(self, first: int, last: int) -> tuple[int, int]:
        """(first row, one past the last row) of the array for the items or texts from first to last - 1."""
        return (first, last) if self.starts is None else (int(self.starts[first]), int(self.starts[last]))


class Shards:
    """An array that is written shard by shard; `open_shards` makes one.

    Args:
        folder: encoding/<name> of the table or index.
        key: of the encoding, 64 hex digits.
        layout: of the array.

    Attributes:
        complete: {shard: its images without features}.
    """

    def __init__(self, folder: Path, key: str, layout: ShardLayout) -> None:
        self.folder, self.key, self.layout = folder, key, layout
        self.path, self.lines = folder / "rows.npy", folder / "shards.jsonl"
        self.complete: dict[int, Broken] = {}
        self._waiting: dict[int, tuple[np.ndarray, dict[int, str]]] = {}
        self._prepare()

    def __len__(self) -> int:
        return -(-self.layout.count // self.layout.items)

    def span(self, shard: int) -> range:
        """The items or texts of a shard."""
        return self.layout.span(shard)

    def take_up(self, still_broken: Callable[[int], bool]) -> None:
        """Marks the shards of an earlier run as complete whose rows match their line.

        Args:
            still_broken: whether an image that had no features is still broken; a shard with a repaired image is
                encoded again.
        """
        for line in _read_lines(self.lines):
            shard, broken = line.get("shard"), line.get("broken")
            if line.get("encoding") != self.key or not isinstance(shard, int) or not isinstance(broken, list):
                continue
            if not 0 <= shard < len(self) or self._sha256(shard) != line.get("sha256"):
                continue
            if all(still_broken(int(row)) for row, _ in broken):
                self.complete[shard] = [(int(row), str(what)) for row, what in broken]

    def write(self, rows: np.ndarray, values: np.ndarray, broken: Broken) -> None:
        """Writes the features of some items or texts of one shard, and its line once all are written.

        Args:
            rows: (B) items or texts, in any order; one may be written twice.
            values: their rows of the array, concatenated.
            broken: those of them without features.
        """
        shard = int(rows[0]) // self.layout.items
        if shard in self.complete:
            return
        self._place(rows, np.ascontiguousarray(values))
        seen, broken_rows = self._waiting.setdefault(shard, (np.zeros(len(self.span(shard)), bool), {}))
        seen[rows - shard * self.layout.items] = True
        broken_rows.update(broken)
        if seen.all():
            self._commit(shard)

    def read(self, row: int) -> np.ndarray:
        """The features of one item or text of a complete shard: its rows of the array."""
        low, high = self._bytes(row, row + 1)
        values = np.frombuffer(os.pread(self._file.fileno(), high - low, low), self.layout.dtype)
        return values.reshape(-1, *self.layout.shape[1:])

    def close(self) -> None:
        self._file.close()

    def _prepare(self) -> None:
        """Opens the file in its full length, sparse where nothing is written yet."""
        shape, descr = self.layout.shape, np.lib.format.dtype_to_descr(np.dtype(self.layout.dtype))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        if not self.path.exists():
            part = self.path.with_suffix(".part")
            with open(part, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
            os.replace(part, self.path)
        self._file: BinaryIO = open(self.path, "rb+", buffering=0)  # noqa: SIM115 - closed by `close`
        np.lib.format.read_magic(self._file)
        np.lib.format.read_array_header_1_0(self._file)
        self.base = self._file.tell()
        total = self.base + shape[0] * self.layout.row_bytes
        # blocks that are written already need no further room
        need_room(self.folder, total - os.fstat(self._file.fileno()).st_blocks * 512, "the rest of the features")
        os.ftruncate(self._file.fileno(), total)

    def _bytes(self, first: int, last: int) -> tuple[int, int]:
        """(first byte, one past the last byte) in the file for the items or texts from first to last - 1."""
        low, high = self.layout.rows(first, last)
        return self.base + low * self.layout.row_bytes, self.base + high * self.layout.row_bytes

    def _place(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Writes the values to their place in the file, consecutive rows together."""
        data, done = values.reshape(-1).view(np.uint8).data, 0
        ends = np.flatnonzero(np.diff(rows) != 1) + 1
        for part in np.split(rows, ends):
            low, high = self._bytes(int(part[0]), int(part[-1]) + 1)
            while low < high:
                wrote = os.pwrite(self._file.fileno(), data[done : done + high - low], low)
                low, done = low + wrote, done + wrote
        assert done == len(data), "rows of another shape than the array's"

    def _commit(self, shard: int) -> None:
        """Flushes a shard's rows to the disk, then writes its line."""
        _, broken_rows = self._waiting.pop(shard)
        broken = sorted(broken_rows.items())
        os.fdatasync(self._file.fileno())
        line = {"encoding": self.key, "shard": shard, "sha256": self._sha256(shard), "broken": broken}
        with open(self.lines, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.complete[shard] = broken

    def _sha256(self, shard: int) -> str:
        span = self.span(shard)
        low, high = self._bytes(span.start, span.stop)
        digest = hashlib.sha256()
        for start in range(low, high, _CHUNK_BYTES):
            digest.update(os.pread(self._file.fileno(), min(_CHUNK_BYTES, high - start), start))
        return digest.hexdigest()


def key_of(encoding: Mapping[str, Any]) -> str:
    """The key of an encoding: sha256 of its JSON, 64 hex digits."""
    return hashlib.sha256(json.dumps(encoding, sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The differences of two encodings: "dtype was 'float16', is 'float32'"."""
    old, new = dict(_flat(before)), dict(_flat(after))
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(f"{name} was {old.get(name)!r:.80}, is {new.get(name)!r:.80}" for name in names)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, value) of all entries of nested mappings."""
    for name, value in values.items():
        yield from _flat(value) if isinstance(value, Mapping) else [(name, value)]


@contextlib.contextmanager
def open_shards(
    home: Path,
    folder: Path,
    what: str,
    encoding: Mapping[str, Any],
    layout: ShardLayout,
    fix: str | None,
    stray: Path | None,
) -> Iterator[Shards]:
    """Opens the shards of an encoding for this process alone; `take_up` then finds those of an earlier run.

    Complete shards stay after an error in the body; a folder without any is removed.

    Args:
        home: existing folder that gets the array.
        folder: of the shards, inside `home`.
        what: is written, in words.
        encoding: what decides the array's content; only shards of an equal encoding are reused.
        layout: of the array.
        fix: what to do about shards of another encoding, which are refused; None drops them.
        stray: where a kill may have left the finished array without an entry that names it; None where it has one.

    Raises:
        RefusedError: unfinished shards of another encoding, or another process that writes this array.
        DiskFullError: the array does not fit, now or later.
    """
    encoding = json.loads(json.dumps(encoding))
    key = key_of(encoding)
    with room_in(home, what):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shards.jsonl").touch()
        with _alone(folder, what, home):
            try:
                _only(folder, encoding, fix)
                if stray is not None and stray.exists() and not (folder / "rows.npy").exists():
                    os.replace(stray, folder / "rows.npy")
                with contextlib.closing(Shards(folder, key, layout)) as shards:
                    yield shards
            finally:
                # after an error only what a later run can reuse stays
                if folder.exists() and not _read_lines(folder / "shards.jsonl"):
                    remove(folder)


def remove(folder: Path) -> None:
    """Removes the folder of an encoding, and its parent if that is empty then."""
    (folder / "encoding.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


@contextlib.contextmanager
def _alone(folder: Path, what: str, home: Path) -> Iterator[None]:
    """Locks the folder of an encoding; RefusedError if another process holds the lock."""
    try:
        with locked(folder / "shards.jsonl", wait=False):
            yield
    except BlockingIOError:
        raise RefusedError(f"another process is writing {what} in {home}; wait for it") from None


def _only(folder: Path, encoding: Mapping[str, Any], fix: str | None) -> None:
    """Makes the folder this encoding's; the shards of another encoding are refused, or dropped where `fix` is None."""
    try:
        before = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = None
    if before == encoding:
        lines = folder / "shards.jsonl"
        data = lines.read_bytes()
        if not data.endswith(b"\n"):  # a kill left an incomplete line
            os.truncate(lines, data.rfind(b"\n") + 1)
        return
    if before is not None and _read_lines(folder / "shards.jsonl") and fix is not None:
        raise RefusedError(
            f"{folder} holds finished shards of another encoding ({differences(before, encoding)}). {fix}"
        )
    (folder / "rows.npy").unlink(missing_ok=True)
    os.truncate(folder / "shards.jsonl", 0)
    write_json(folder / "encoding.json", encoding)
    sync(folder)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of the complete lines; a kill may leave an incomplete one, which is skipped."""
    values = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            values += [value] if isinstance(value, dict) else []
    return values
