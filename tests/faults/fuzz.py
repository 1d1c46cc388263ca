"""Damages the files of a source's miniature, builds it, and says what was neither a table nor a DataError.

    python -m tests.faults.fuzz --cases 2000 --seed 1 webdataset karpathy

Run in a process of its own by tests/faults/test_fuzz.py: a crash of a library, a hang or memory without bound ends this
process and not the tests. A case is its seed: the same seed damages the same bytes. Prints one JSON object a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from raytrain.data.build import build, parse_options
from raytrain.data.table import Table
from raytrain.errors import DataError
from tests.data.layouts import LAYOUTS

CASE_S = 20
MEMORY = 1 << 30  # beyond what the process has when everything is imported; a case needs a few MiB
PICTURES = (".jpg", ".png")
TOKENS = [
    "null", "true", "-1", "1e999", "NaN", "1" * 400, '""', '" "', '"\\ud800"', '"\\u0000"', '"../../x"',
    '"/etc/passwd"', '"C:\\\\x"', '"train"', "[]", "{}", "[[]]", '{"a": 1}', "[" * 2000,
    '"' + "x" * 5000 + '"', '{"a":' * 500, "",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20, help="a source")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("sources", nargs="*")
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, _hang)
    ended: Counter[str] = Counter()
    for name, make in LAYOUTS.items():
        if args.sources and name.partition("-")[0] not in args.sources:
            continue
        with tempfile.TemporaryDirectory() as home:
            whole = make(Path(home) / "whole")
            assert outcome(name, whole, Path(home)) == "table", f"the miniature of {name} builds no table"
            _bound_memory()
            for case in range(args.cases):
                ended[one_case(name, whole, Path(home), f"{name} {args.seed} {case}")] += 1
    print(json.dumps({"ended": ended}))


def one_case(name: str, whole: Path, home: Path, seed: str) -> str:
    """What became of a case: "table", "error", or "failed" after printing why."""
    draw = random.Random(seed)
    root = home / "root"
    shutil.copytree(whole, root, symlinks=True)
    damaged = damage(root, draw)
    signal.alarm(CASE_S)
    try:
        return outcome(name, root, home)
    except BaseException as error:
        place = traceback.format_exception(error)[-3:]
        print(json.dumps({"seed": seed, "damaged": damaged, "error": repr(error)[:300], "where": place}), flush=True)
        return "failed"
    finally:
        signal.alarm(0)
        shutil.rmtree(root, ignore_errors=True)


def outcome(name: str, root: Path, home: Path) -> str:
    """Builds the table; a DataError must name a file, and nothing may be left behind."""
    out = home / "tables" / "t"
    source, _, options = name.partition("-")
    try:
        table = build(source, root, out, **parse_options(source, [option for option in options.split(",") if option]))
        assert isinstance(table, Table) and len(table.items) > 0 and len(table.texts) > 0
        return "table"
    except DataError as error:
        unclear = [one for one in error.problems if not (one.file and one.what and one.fix) or (one.row or 0) < 0]
        if unclear or not error.problems or any((home / "tables").glob("*")):
            raise AssertionError(f"unclear, or something is left behind: {unclear}") from error
        return "error"
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(home / "tables")


def damage(root: Path, draw: random.Random) -> list[str]:
    """Changes one to three files of annotations; returns their names."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix not in PICTURES)
    chosen = [draw.choice(files) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
    for path in chosen:
        data = path.read_bytes()
        for _ in range(draw.choice((1, 1, 2, 4))):
            data = draw.choice(DAMAGES)(data, draw)
        path.write_bytes(data)
    return [path.relative_to(root).as_posix() for path in chosen]


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 2, 8))):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _remove(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    return data[:start] + data[start + draw.choice((1, 2, 16, 512)) :]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    part = data[start : start + draw.choice((1, 16, 512))]
    return data[:start] + part * draw.choice((2, 3, 50)) + data[start:]


def _swap(data: bytes, draw: random.Random) -> bytes:
    a, b = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
    size = draw.choice((1, 16, 512))
    return data[:a] + data[b : b + size] + data[a + size : b] + data[a : a + size] + data[b + size :]


def _token(data: bytes, draw: random.Random) -> bytes:
    """Puts a value in the place of what stands between two marks of JSON, CSV or a list."""
    marks = [at for at, byte in enumerate(data) if byte in b'":,[]{}\t\n;']
    if len(marks) < 2:
        return data
    first = draw.randrange(len(marks) - 1)
    last = min(first + draw.choice((1, 1, 2, 4)), len(marks) - 1)
    return data[: marks[first] + 1] + draw.choice(TOKENS).encode() + data[marks[last] :]


def _value(data: bytes, draw: random.Random) -> bytes:
    """Puts another value somewhere into what the file says as JSON, of a file that is JSON."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return _token(data, draw)
    holders: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            holders.append((value, key))
            walk(value[key])

    walk(whole)
    if holders:
        holder, key = draw.choice(holders)
        other, inner = draw.choice(holders)
        value: Any = draw.choice(
            [None, True, -1, 10**30, 1.5, "", "../x", "\ud800", [], {}, [None], [[]], other[inner]]
        )
        if draw.random() < 0.2 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = value
    try:
        return json.dumps(whole).encode()
    except (ValueError, RecursionError):  # a value put into itself
        return data


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [_flip, _cut, _remove, _repeat, _swap, _token, _token, _value]
DAMAGES += [_value, lambda data, draw: b"", lambda data, draw: draw.randbytes(draw.choice((1, 600, 3000)))]


def _hang(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {CASE_S} s")


def _bound_memory() -> None:
    status = Path("/proc/self/status")
    if status.exists():
        used = (
            next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmData")) * 1024
        )
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
