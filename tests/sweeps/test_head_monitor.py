"""The monitor of a cluster's head: a socket that answers, and one that was closed."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Callable

from raytrain.sweeps.head_monitor import HeadMonitor


def listener() -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, f"127.0.0.1:{server.getsockname()[1]}"


def quick(address: str, gone: Callable[[], None] = lambda: None) -> HeadMonitor:
    return HeadMonitor(address, gone, every_s=0.02, patience_s=0.1, settle_s=0.02)


def test_a_head_that_answers_is_left_alone_and_one_that_does_not_is_reported_once() -> None:
    server, address = listener()
    calls: list[float] = []
    with quick(address, lambda: calls.append(time.monotonic())) as head:
        time.sleep(0.3)
        assert head.answers()
        assert calls == []
        server.close()
        closed = time.monotonic()
        while not calls and time.monotonic() < closed + 10:
            time.sleep(0.01)
        time.sleep(0.2)
    assert len(calls) == 1
    assert calls[0] - closed >= 0.05  # not at the first look that failed


def test_tune_can_save_what_holds_a_monitor() -> None:
    monitor = quick("127.0.0.1:1")
    with monitor:
        assert pickle.loads(pickle.dumps(monitor)).__dict__ == {}
