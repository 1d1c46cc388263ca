"""News goes to stderr where nobody listens, to a listener where one does, and threads inherit it."""

from __future__ import annotations

import pytest

from raytrain.background import Background
from raytrain.progress import ProgressEvent, heard_by, say


class Teller(Background):
    def look(self) -> bool:
        say("from a thread")
        return False


def test_a_listener_hears_what_is_said_inside_and_in_threads(capsys: pytest.CaptureFixture[str]) -> None:
    news: list[ProgressEvent] = []
    say("before\x1b")
    with heard_by(news.append):
        say("one", "run", {"event": "epoch"})
        with Teller("teller", 0.001) as teller:
            teller._thread.join()
        with heard_by(None):
            say("lost")
    say("after")
    assert news == [ProgressEvent("one", "run", {"event": "epoch"}), ProgressEvent("from a thread")]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "before\\x1b\nafter\n")
