"""The leaderboard shows how often test was opened by a run, by its weights elsewhere, and by all."""

from __future__ import annotations

from pathlib import Path

from raytrain.review.leaderboard import read_board
from raytrain.review.marks.openings import openings_of_run
from raytrain.review.tables import to_markdown, to_text
from raytrain.tracking.journal import Journal
from raytrain.tracking.openings import NAME, Opened, record_opening
from raytrain.tracking.run_record import read_run
from tests.review.made_runs import make_run


def test_openings_come_from_journal_files_and_the_counting_file(tmp_path: Path) -> None:
    run = tmp_path / "e" / "a"
    make_run(run)
    record = read_run(run)
    assert openings_of_run(record, Journal(run).read(), []) == (1, 0)
    stated = {"split": "test", "test_openings": 4}
    assert openings_of_run(record, Journal(run).read(), [stated]) == (4, 0)
    assert openings_of_run(record, Journal(run).read(), [stated | {"test_openings_in_all": 9}]) == (4, 9)
    opened = Opened("t", "w", "a")
    opening, _ = record_opening([run.parent / NAME], opened, [])
    record_opening([run.parent / NAME], opened._replace(uid="a copy"), [])
    record_opening([run.parent / NAME], Opened("t", "others", "b"), [])
    Journal(run).write("evaluation", split="test", opening={"id": opening, **opened._asdict()})
    assert openings_of_run(record, Journal(run).read(), []) == (3, 4)


def test_the_number_stands_in_the_leaderboard(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    make_run(tmp_path / "e" / "unopened", test=None, **{"optim.lr": 1.0})
    opened = Opened("t", "w", "a")
    for _ in range(2):
        opening, _ = record_opening([tmp_path / "e" / NAME], opened, [])
        Journal(tmp_path / "e" / "a").write("evaluation", split="test", opening={"id": opening, **opened._asdict()})
    board = read_board(tmp_path)
    assert {row.runs[0]: (row.openings, row.openings_in_all) for row in board.rows} == {"a": (3, 3), "unopened": (0, 0)}
    for text in (to_text(board), to_markdown(board)):
        assert "test opened" in text and "3 of 3" in text
