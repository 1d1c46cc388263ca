"""A journal that is read as it grows gives what reading it whole gives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytrain.errors import Problem
from raytrain.tracking import journal_tail
from raytrain.tracking.journal import CUT_SHORT, NAME, Journal
from raytrain.tracking.journal_tail import JournalTail

LINES = b"".join(
    [
        b'{"event": "start", "time": 1, "kind": "run"}\n',
        b'{"event": "epoch", "time": "noon"}\n',
        b"\n",
        b'{"event": "epoch", "time": 2, "epoch": 1}\n',
        b"[1]\n",
        b'{"event": "end", "time": 3, "status": "finished"}',
    ]
)


def test_bytes_that_arrive_in_any_pieces_give_what_the_whole_gives(tmp_path: Path) -> None:
    problems: list[Problem] = []
    (tmp_path / NAME).write_bytes(LINES)
    events = Journal(tmp_path).read(problems)
    assert len(events) == 3 and [problem.row for problem in problems] == [2, 5]
    for size in (1, 7, 50, 1000):
        (tmp_path / NAME).unlink()
        tail = JournalTail(tmp_path)
        assert tail.look() and tail.events == []
        for first in range(0, len(LINES), size):
            with open(tmp_path / NAME, "ab") as file:
                file.write(LINES[first : first + size])
            tail.look()
        assert (tail.events, tail.problems) == (events, problems)
        assert not tail.look()


def test_a_line_that_its_writer_left_is_named_until_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(b'{"event": "sta')
    writing = [True]
    monkeypatch.setattr(journal_tail, "has_writer", lambda folder: writing[0])
    tail = JournalTail(tmp_path)
    assert tail.look() and not tail.problems  # it is being written
    writing[0] = False
    assert tail.look() and [problem.what for problem in tail.problems] == [CUT_SHORT]
    Journal(tmp_path).write("start", kind="run")  # ends the torn line first
    tail.look()
    assert [event["event"] for event in tail.events] == ["start"]
    assert [(problem.row, problem.what[:8]) for problem in tail.problems] == [(1, "not JSON")]


def test_a_file_that_was_replaced_or_cut_is_read_anew(tmp_path: Path) -> None:
    tail = JournalTail(tmp_path)
    (tmp_path / NAME).write_bytes(LINES)
    tail.look()
    (tmp_path / "new").write_bytes(LINES.splitlines(keepends=True)[0])
    os.replace(tmp_path / "new", tmp_path / NAME)
    tail.look()
    assert [event["event"] for event in tail.events] == ["start"] and not tail.problems
    (tmp_path / NAME).write_bytes(b"")
    tail.look()
    assert tail.events == []


def test_a_journal_that_cannot_be_read_is_a_problem_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    tail = JournalTail(tmp_path)
    tail.look()
    tail.look()
    assert [problem.what for problem in tail.problems] == ["not readable: is a named pipe, not a file"]
