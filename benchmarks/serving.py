"""What HTTP costs a search: requests/s and p95 of `raytrain serve` as ratios to `Retriever.search` in the same run.

    python benchmarks/serving.py runs/flickr8k/RUN --requests 4000 --connections 200
    python benchmarks/serving.py runs/flickr8k/RUN --requests 4000 --ray

Texts of the table are searched directly, by one and by many connections at once, in turn; then a mix of texts, images,
items, thumbnails and hostile requests goes on for as many requests as are asked for, with the memory of the service
(all its processes) before and after each quarter. The service runs in a process of its own on the same cores as the
clients.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import raytrain
from raytrain.data.table import Table
from raytrain.retrieval import Retriever

Request = tuple[str, str, str, bytes]
"""Method, path, content type, body."""
Outcome = tuple[float, int]
"""Seconds, status; 0 for a connection that was closed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--requests", type=int, default=4000, help="of the long loop")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--direct", type=int, default=200, help="searches that are timed without a service")
    parser.add_argument("--ray", action="store_true", help="serve by Ray Serve")
    options = parser.parse_args()

    retriever = raytrain.load(options.run, device="cpu")
    table = retriever.home.table if retriever.home else None
    assert table is not None
    texts = [text.as_py() for text in table.texts["text"][: options.direct]]
    retriever.search(texts[0])
    seconds = [_timed(retriever, text) for text in texts]

    searches = [_json({"text": text}) for text in texts]
    with _service(options.run, options.ray) as (port, token, pid):
        loads = {}
        for connections in (1, options.connections):
            wanted = searches * max(1, 2 * connections // len(searches))
            loads[connections] = asyncio.run(_load(port, token, wanted, connections))
            seconds += [_timed(retriever, text) for text in texts]  # other work on the machine comes and goes
        direct = len(seconds) / sum(seconds), float(np.percentile(seconds, 95))
        print(f"direct: {direct[0]:.1f} searches/s, p95 {1000 * direct[1]:.0f} ms, {len(table.items):,} images")
        for connections, loaded in loads.items():
            _report(f"{connections} connections", loaded, direct)
        mix = _mixed(texts, [str(item) for item in table.items["id"].to_pylist()], Path(str(table.image_root)), table)
        before = _memory_mib(pid)
        for part in range(1, 5):
            loop = [mix[number % len(mix)] for number in range(options.requests // 4)]
            _report(f"mix, part {part} of 4", asyncio.run(_load(port, token, loop, 32)), None)
            print(f"  memory {before:.0f} MiB before, {_memory_mib(pid):.0f} MiB now")


def _timed(retriever: Retriever, text: str) -> float:
    started = time.perf_counter()
    retriever.search(text)
    return time.perf_counter() - started


def _json(value: Any) -> Request:
    return "POST", "/search", "application/json", json.dumps(value).encode()


def _mixed(texts: Sequence[str], items: Sequence[str], root: Path, table: Table) -> list[Request]:
    """Requests as people and others send them."""
    pictures = [(root / str(file)).read_bytes() for file in table.items["file"].to_pylist()[:20]]
    image = "POST", "/search/image?k=10", "image/jpeg"
    result: list[Request] = []
    for number, picture in enumerate(pictures):
        item = items[number]
        result += [_json({"text": text}) for text in texts[5 * number : 5 * number + 5]]
        result += [
            (*image, picture),
            (*image, picture[: len(picture) // 2]),
            (*image, b"\x89PNG\r\n\x1a\n" + bytes(5000)),
            _json({"item": item}),
            _json({"item": f"../{item}"}),
            _json({"text": "x" * 20_000}),
            ("POST", "/search", "application/json", b"[" * 50_000),
            ("POST", "/search", "application/json", bytes(5_000_000)),
            ("GET", f"/thumbnail/{item}", "", b""),
            ("GET", "/thumbnail/..%2f..%2fetc%2fpasswd", "", b""),
            ("GET", "/", "", b""),
        ]
    return result


def _report(name: str, loaded: tuple[list[Outcome], float], direct: tuple[float, float] | None) -> None:
    outcomes, total = loaded
    answered = [seconds for seconds, status in outcomes if status == 200]
    p95 = float(np.percentile(answered, 95))
    line = f"{name}: {len(outcomes) / total:.0f} requests/s, p95 {1000 * p95:.0f} ms of those answered 200"
    if direct is not None:
        line += f"; {len(outcomes) / total / direct[0]:.2f} times the searches/s, {p95 / direct[1]:.1f} times the p95"
    statuses = collections.Counter(status for _, status in outcomes)
    print(f"{line}; statuses {dict(sorted(statuses.items()))}")


async def _load(
    port: int, token: str | None, requests: Sequence[Request], connections: int
) -> tuple[list[Outcome], float]:
    """The outcomes of requests by so many connections at once, and the seconds of all."""
    waiting, outcomes = collections.deque(requests), list[Outcome]()
    started = time.perf_counter()
    await asyncio.gather(*(_client(port, token, waiting, outcomes) for _ in range(connections)))
    return outcomes, time.perf_counter() - started


async def _client(port: int, token: str | None, waiting: collections.deque[Request], outcomes: list[Outcome]) -> None:
    """One connection, which is opened again where the service closed it."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while waiting:
        method, path, kind, body = waiting.popleft()
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(body)}"]
        lines += [f"content-type: {kind}"] if kind else []
        lines += [f"authorization: Bearer {token}"] if token else []
        started = time.perf_counter()
        status, goes_on = 0, False
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            streams = streams or await asyncio.open_connection("127.0.0.1", port)
            reader, writer = streams
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status, goes_on = int(head.split()[1]), b"connection: close" not in head
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
        outcomes.append((time.perf_counter() - started, status))
        if not goes_on and streams is not None:
            streams[1].close()
            streams = None
    if streams is not None:
        streams[1].close()


@contextlib.contextmanager
def _service(run: str, ray: bool) -> Iterator[tuple[int, str | None, int]]:
    """Port, token and process id of the service."""
    command = [sys.executable, "-m", "raytrain.cli", "serve", run, "--device", "cpu", "--json"]
    command += ["--cluster", "--port", "8765"] if ray else ["--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        token = Path(answer["token_file"]).read_text().strip() if answer["token_file"] else None
        yield int(answer["url"].rstrip("/").rpartition(":")[2]), token, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _memory_mib(pid: int) -> float:
    """Resident memory of a process and all below it."""
    parents: dict[int, list[int]] = collections.defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(fields[1])].append(int(folder.name))
    family = [pid]
    for member in family:
        family += parents[member]
    pages = 0
    for member in family:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
