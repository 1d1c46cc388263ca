"""Budgets of training, and how they differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.review.leaderboard import read_board
from raytrain.review.marks.budget import Budget, budget_of
from raytrain.review.tables import to_markdown
from raytrain.tracking.run_record import read_run
from tests.review.made_runs import make_run


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (Budget(10, 1000.0, "pair", 100), ""),
        (Budget(10, 1050.0, "pair", 105), ""),
        (Budget(20, 2000.0, "pair", 100), "2 x the samples"),
        (Budget(10, 500.0, "pair", 410), "0.5 x the samples, 4.1 x the parameters"),
        (Budget(30, 200.0, "image", 100), "3 x the epochs"),
        (Budget(20, None, "pair", None), "2 x the epochs"),
    ],
)
def test_a_budget_is_told_by_what_differs(mine: Budget, words: str) -> None:
    assert mine.against(Budget(10, 1000.0, "pair", 100)) == words


def test_a_run_took_its_steps_times_its_batch(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", **{"optim.batch_size": 32})
    assert budget_of(read_run(tmp_path / "e" / "a")) == Budget(3, 96.0, "pair", None)
    make_run(tmp_path / "e" / "b", **{"method.kind": "dive", "optim.batch_size": 32})
    assert budget_of(read_run(tmp_path / "e" / "b")).unit == "image"


def test_rows_of_unequal_budget_say_so(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", strength=2.0)
    make_run(tmp_path / "e" / "b", **{"optim.batch_size": 256})
    board = read_board(tmp_path)
    assert [row.unequal for row in board.rows] == ["", "2 x the samples"]
    assert "2 x the samples" in to_markdown(board)
    assert "batch_size=128" in board.rows[0].settings and "batch_size=256" in board.rows[1].settings


def test_a_journal_that_says_nonsense_has_no_budget_and_no_sizes(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", test=None, **{"optim.batch_size": "many"})
    (tmp_path / "e" / "a" / "evaluation" / "val.json").unlink()
    journal = tmp_path / "e" / "a" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[0] |= {"parameters": "x", "validation": {"queries": 3, "gallery": {"t2i": "y", "i2t": -1}}}
    lines[1] |= {"step": "z"}
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (row,) = read_board(tmp_path).rows
    assert row.budget == Budget(3, None, "pair", None) and row.chance["val"] == {}
