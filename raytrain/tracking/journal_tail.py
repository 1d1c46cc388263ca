"""A journal that is read again and again while others write it: each look reads only what was appended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raytrain.errors import Problem
from raytrain.files import open_regular
from raytrain.tracking.journal import CUT_SHORT, LINE_FIX, NAME, UNREADABLE_FIX, event_of, has_writer


class JournalTail:
    """The events of a run's journal so far, as `Journal.read` gives them.

    Args:
        folder: of the run.

    Attributes:
        events: of all lines that hold one, up to the last look.
        problems: the lines that are left out; or one, that the journal cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._state: tuple[int, int, int, int] | None = None  # device, inode, size, time of the last change
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.problems: list[Problem] = []
        self._offset = 0  # bytes up to here are in `events` or `problems`
        self._rows = 0  # newlines up to there
        self._has_part = False  # of a line, behind them
        self._part_is_named = False  # by the last of `problems`

    def look(self) -> bool:
        """Read what is new; whether anything was."""
        try:
            facts = os.stat(self.path)
            state = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if state == self._state:
                return self._name_part()
            grown = self._state is not None and state[:2] == self._state[:2] and facts.st_size >= self._offset
            with open_regular(self.path) as file:
                if not grown:
                    self._begin_anew()
                file.seek(self._offset)
                appended = file.read()
        except OSError as error:
            gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
            self._begin_anew()
            self._state = None
            if not gone:
                what = f"not readable: {error.strerror or error}"
                self.problems = [Problem(str(self.path), None, what, UNREADABLE_FIX)]
            return True
        self._state = state
        self._take(appended)
        return True

    def _take(self, appended: bytes) -> None:
        if self._part_is_named:
            self.problems.pop()
        *lines, last = appended.split(b"\n")
        for line in lines:
            self._rows += 1
            self._offset += len(line) + 1
            event, why = event_of(line)
            if event is not None:
                self.events.append(event)
            elif why is not None:
                self.problems.append(Problem(str(self.path), self._rows, why, LINE_FIX, level="warning"))
        event, why = event_of(last)
        if event is not None:  # whole; its newline comes with the next line
            self.events.append(event)
            self._offset += len(last)
        self._has_part, self._part_is_named = why is not None, False
        self._name_part()

    def _name_part(self) -> bool:
        """Name the part of a line that nobody will finish; whether it was named now."""
        if not self._has_part or self._part_is_named or has_writer(self.path.parent):
            return False
        self.problems.append(Problem(str(self.path), self._rows + 1, CUT_SHORT, LINE_FIX, level="warning"))
        self._part_is_named = True
        return True
