"""The rows of one feature on their way into a table, shard by shard, so that a killed encoding goes on.

    <table>/encoding/<name>/
        encoding.json    what is encoded, from what and with what
        rows.npy         the array in its final form; rows are written to their place as they come
        shards.jsonl     a line a complete shard: its number, sha256 of its rows, images without features

A shard is a fixed number of items or texts. Its line is written when its rows are on the disk, and carries the key of
the encoding; a later run takes up what lines of its own key vouch for, and writes the rest. At the end the array moves
into `features/` as it is: nothing is copied, and the disk holds it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from raytrain.data.table import Table
from raytrain.errors import RefusedError
from raytrain.files import locked, need_room, room_in, sync, write_json

_CHUNK_BYTES = 1 << 24

Broken = list[tuple[int, str]]


class Shards:
    """An array being written; `open_shards` makes one.

    Args:
        folder: encoding/<name> of the table.
        key: of the encoding; 64 hex digits.
        starts: (N + 1) first row of each of N items or texts; None where each has one.
        count: N.
        items: items or texts a shard.
        shape, dtype: of the array.

    Attributes:
        complete: {shard: (row, what is wrong) of its items without features}
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        starts: np.ndarray | None,
        count: int,
        items: int,
        shape: tuple[int, ...],
        dtype: str,
    ) -> None:
        self.folder, self.key, self.starts, self.count, self.items = folder, key, starts, count, items
        self.path, self.lines = folder / "rows.npy", folder / "shards.jsonl"
        self.row_bytes = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
        self.complete: dict[int, Broken] = {}
        self._waiting: dict[int, tuple[np.ndarray, dict[int, str]]] = {}
        self._prepare(shape, dtype)

    def __len__(self) -> int:
        return -(-self.count // self.items)

    def span(self, shard: int) -> range:
        """The items or texts of a shard."""
        return range(shard * self.items, min((shard + 1) * self.items, self.count))

    def take_up(self, still_broken: Callable[[int], bool]) -> None:
        """Believe the lines of an earlier run whose rows are what they say.

        Args:
            still_broken: whether an item that had no features would have none now; a shard with one that was repaired
                is encoded again.
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
        """Rows of some items or texts of one shard; the shard is complete with its last one.

        Args:
            rows: (B) items or texts, in any order; giving one twice does no harm.
            values: their rows of the array, one after the other.
            broken: (row, what is wrong) of those without features.
        """
        shard = int(rows[0]) // self.items
        if shard in self.complete:
            return
        self._place(rows, np.ascontiguousarray(values))
        seen, wrong = self._waiting.setdefault(shard, (np.zeros(len(self.span(shard)), bool), {}))
        seen[rows - shard * self.items] = True
        wrong.update(broken)
        if seen.all():
            self._commit(shard)

    def close(self) -> None:
        self._file.close()

    def _prepare(self, shape: tuple[int, ...], dtype: str) -> None:
        """The file in its whole length, with holes where nothing is written yet."""
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        if not self.path.exists():
            part = self.path.with_suffix(".part")
            with open(part, "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
            os.replace(part, self.path)
        self._file: BinaryIO = open(self.path, "rb+", buffering=0)  # noqa: SIM115 - closed by `close`
        np.lib.format.read_magic(self._file)
        np.lib.format.read_array_header_1_0(self._file)
        self.base = self._file.tell()
        total = self.base + shape[0] * self.row_bytes
        # what was written is not needed again
        need_room(self.folder, total - os.fstat(self._file.fileno()).st_blocks * 512, "the rest of the features")
        os.ftruncate(self._file.fileno(), total)

    def _bytes(self, first: int, last: int) -> tuple[int, int]:
        """Where the rows of items first to last (excluded) begin and end in the file."""
        low, high = (first, last) if self.starts is None else (int(self.starts[first]), int(self.starts[last]))
        return self.base + low * self.row_bytes, self.base + high * self.row_bytes

    def _place(self, rows: np.ndarray, values: np.ndarray) -> None:
        data, done = values.reshape(-1).view(np.uint8).data, 0
        # neighbours are written together
        ends = np.flatnonzero(np.diff(rows) != 1) + 1
        for part in np.split(rows, ends):
            low, high = self._bytes(int(part[0]), int(part[-1]) + 1)
            while low < high:
                wrote = os.pwrite(self._file.fileno(), data[done : done + high - low], low)
                low, done = low + wrote, done + wrote
        assert done == len(data), "rows of another shape than the array's"

    def _commit(self, shard: int) -> None:
        _, wrong = self._waiting.pop(shard)
        broken = sorted(wrong.items())
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
    """64 hex digits that name an encoding."""
    return hashlib.sha256(json.dumps(encoding, sort_keys=True).encode()).hexdigest()


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two encodings differ, in words."""
    before, after = dict(_flat(was)), dict(_flat(now))
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return ", ".join(f"{name} was {before.get(name)!r:.80}, is {after.get(name)!r:.80}" for name in names)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield from _flat(value) if isinstance(value, Mapping) else [(name, value)]


@contextlib.contextmanager
def open_shards(
    table: Table,
    name: str,
    encoding: Mapping[str, Any],
    starts: np.ndarray | None,
    count: int,
    items: int,
    shape: tuple[int, ...],
    dtype: str,
    replace: bool,
) -> Iterator[Shards]:
    """The shards of an encoding, alone; those that an earlier run completed wait for `take_up`.

    Complete shards outlive an error inside; a folder without any is removed.

    Args:
        encoding: what is encoded, from what and with what, as JSON; only shards of an equal one are taken up.
        replace: drop shards of another encoding instead of refusing.

    Raises:
        RefusedError: unfinished shards of another encoding, or another process that writes this feature.
        DiskFullError: the array does not fit, now or later.
    """
    encoding = json.loads(json.dumps(encoding))
    folder, key = table.path / "encoding" / name, key_of(encoding)
    with room_in(table.path, f"features {name}"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "shards.jsonl").touch()
        with _alone(folder, name):
            try:
                _only(folder, encoding, replace)
                _move_back(table, name, folder)
                with contextlib.closing(Shards(folder, key, starts, count, items, shape, dtype)) as shards:
                    yield shards
            finally:
                # after an error only what a later run can use stays
                if folder.exists() and not _read_lines(folder / "shards.jsonl"):
                    remove(folder)


def remove(folder: Path) -> None:
    """Remove the folder of an encoding, and the one around it where it was the last."""
    (folder / "encoding.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


@contextlib.contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    try:
        with locked(folder / "shards.jsonl", wait=False):
            yield
    except BlockingIOError:
        raise RefusedError(f"another process is encoding {name} in {folder.parent.parent}; wait for it") from None


def _only(folder: Path, encoding: Mapping[str, Any], replace: bool) -> None:
    """The folder of this encoding: what another one left is refused, or dropped."""
    try:
        was = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        was = None
    if was == encoding:
        lines = folder / "shards.jsonl"
        data = lines.read_bytes()
        if not data.endswith(b"\n"):  # a line that a kill left torn
            os.truncate(lines, data.rfind(b"\n") + 1)
        return
    if was is not None and _read_lines(folder / "shards.jsonl") and not replace:
        raise RefusedError(
            f"{folder} holds the finished shards of another encoding ({differences(was, encoding)}). Finish that one "
            "with its settings, give this one another --name, or drop the shards with --replace"
        )
    (folder / "rows.npy").unlink(missing_ok=True)
    os.truncate(folder / "shards.jsonl", 0)
    write_json(folder / "encoding.json", encoding)
    sync(folder)


def _move_back(table: Table, name: str, folder: Path) -> None:
    """A kill between the array's move and its entry in table.json leaves it unlisted in features/."""
    stray = table.path / "features" / f"{name}.npy"
    if name not in table.features and stray.exists() and not (folder / "rows.npy").exists():
        os.replace(stray, folder / "rows.npy")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Every whole line; of one that a kill left torn nothing."""
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            found += [value] if isinstance(value, dict) else []
    return found
