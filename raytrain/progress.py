"""Lines of progress: on stderr for a command, and to a listener for code that calls `raytrain`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from raytrain.errors import printable


@dataclass(frozen=True)
class ProgressEvent:
    """One piece of news about work that goes on.

    Attributes:
        text: the line that a command prints.
        run: name of the run or trial that it is about; None where it is about no single one.
        event: what the run's journal records, such as {"event": "epoch", "epoch": 3, "metrics": {...}}; None where
            the journal has no such line.
    """

    text: str
    run: str | None = None
    event: Mapping[str, Any] | None = None


Listener = Callable[[ProgressEvent], None]
"""Takes each piece of news, in the order in which they come, and in a thread of `raytrain` where work waits."""


def to_stderr(news: ProgressEvent) -> None:
    """Print the line on stderr: stdout is for results."""
    print(printable(news.text), file=sys.stderr, flush=True)


def silent(news: ProgressEvent) -> None:
    """Do nothing with the news."""


_listener: ContextVar[Listener] = ContextVar("_listener", default=to_stderr)


def say(text: str, run: str | None = None, event: Mapping[str, Any] | None = None) -> None:
    """Tell whoever listens here; see `ProgressEvent`."""
    _listener.get()(ProgressEvent(text, run, event))


@contextlib.contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Inside, news goes to the listener, and nowhere where it is None; threads of `Background` inherit it."""
    token = _listener.set(listener or silent)
    try:
        yield
    finally:
        _listener.reset(token)
