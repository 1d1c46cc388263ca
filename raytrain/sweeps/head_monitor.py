"""Watching whether the cluster's head is still there.

Ray ends a driver that has not reached the head for a minute, with exit code 1 and a line about Ray's own parts. Until
then every call to Ray waits, and each trial whose driver ran on the head looks as if it had failed by itself.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any, Self

from raytrain.background import Background

LOOK_EVERY_S = 2.0
PATIENCE = "RAYTRAIN_HEAD_TIMEOUT_S"
"""Environment variable: seconds without an answer after which the head is given up."""
DEFAULT_PATIENCE_S = 30.0  # well below Ray's minute, after which Ray ends this process
SETTLE_S = 2.0  # the processes of a head that is lost do not end in the same moment


class HeadMonitor(Background):
    """Watches the head in a thread of its own; a context manager.

    Args:
        address: host:port of its control service.
        gone: called once, from that thread, when nothing has answered for `patience_s` (default PATIENCE).
    """

    def __init__(
        self,
        address: str,
        gone: Callable[[], None],
        every_s: float = LOOK_EVERY_S,
        patience_s: float | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        host, _, port = address.rpartition(":")
        self.host_and_port = (host.strip("[]"), int(port))
        super().__init__("head watch", every_s, patience_s=2 * every_s)
        self.gone, self.settle_s = gone, settle_s
        self.patience_s = float(os.environ.get(PATIENCE, DEFAULT_PATIENCE_S)) if patience_s is None else patience_s
        self._answered = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its scheduler, which holds this, for a restoration that never happens."""
        return {}

    def answers(self) -> bool:
        """Whether something listens there now."""
        try:
            socket.create_connection(self.host_and_port, timeout=self.every_s).close()
        except OSError:
            return False
        return True

    def settled(self) -> None:
        """Wait until the head certainly answers: while it does not, a trial that seems lost may only be cut off."""
        time.sleep(self.settle_s)
        while not self.answers():
            time.sleep(self.every_s)

    def __enter__(self) -> Self:
        self._answered = time.monotonic()
        return super().__enter__()

    def look(self) -> bool:
        if self.answers():
            self._answered = time.monotonic()
        elif time.monotonic() - self._answered >= self.patience_s:
            self.gone()
            return False
        return True
