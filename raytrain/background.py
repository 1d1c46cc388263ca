"""A thread that looks at something again and again while its owner's context is open."""

from __future__ import annotations

import abc
import contextvars
import threading
from types import TracebackType
from typing import Self


class Background(abc.ABC):
    """Calls `look` every `every_s` seconds from a thread of its own, from the beginning of the context to its end.

    Args:
        name: of the thread.
        every_s: seconds between two looks, and before the first.
        patience_s: seconds that the end of the context waits for a look that goes on.
    """

    def __init__(self, name: str, every_s: float, patience_s: float = 10.0) -> None:
        self.every_s = every_s
        self._patience_s = patience_s
        self._stop = threading.Event()
        # the thread tells its news to whom its owner does
        inherited = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: inherited.run(self._work), name=name, daemon=True)

    @abc.abstractmethod
    def look(self) -> bool:
        """Whether to look again."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(self._patience_s)

    def _work(self) -> None:
        while not self._stop.wait(self.every_s):
            if not self.look():
                return
