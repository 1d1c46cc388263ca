"""A thread that looks again and again: as long as its context is open, and no longer than it is told to."""

from __future__ import annotations

import threading

from raytrain.background import Background


class Counting(Background):
    def __init__(self, most: int) -> None:
        super().__init__("counting", 0.001)
        self.most, self.looks, self.enough = most, 0, threading.Event()

    def look(self) -> bool:
        self.looks += 1
        if self.looks == self.most:
            self.enough.set()
        return self.looks < self.most


def test_it_looks_until_it_is_told_that_this_is_enough() -> None:
    with Counting(3) as counting:
        assert counting.enough.wait(5)
        counting._thread.join(5)
        assert not counting._thread.is_alive()
    assert counting.looks == 3


def test_it_ends_with_its_context() -> None:
    with Counting(10**9) as counting:
        assert counting._thread.is_alive()
    assert not counting._thread.is_alive()
