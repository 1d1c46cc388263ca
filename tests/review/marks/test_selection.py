"""Runs that were selected on what they train on are marked."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from raytrain.review.leaderboard import read_board
from raytrain.review.marks.selection import is_trained_on, selected_on
from raytrain.review.page import to_html
from raytrain.review.tables import to_csv, to_markdown, to_text
from tests.review.made_runs import make_run


@pytest.mark.parametrize(
    ("val", "train", "trained", "words"),
    [
        ("val", "train", None, ""),
        ("train", "train", None, "split 'train', which it trains on"),
        ("val", "val", None, "split 'val', which it trains on"),
        ("val", "train", "3 of 12 images", "split 'val', of which it trains on 3 of 12 images"),
        ("train", "val", None, "split 'train'"),
    ],
)
def test_what_selects_is_told_unless_it_is_val(val: str, train: str, trained: str | None, words: str) -> None:
    config = {"data.val_split": val, "data.train_split": train}
    assert selected_on(config, {"validation": {"trained": trained}}) == words
    assert is_trained_on(words) == ("trains" in words)


def test_such_runs_stand_in_a_table_of_their_own_in_every_form(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "honest")
    make_run(tmp_path / "e" / "flattered", strength=9.0, **{"data.val_split": "train"})
    board = read_board(tmp_path)
    assert [[row.runs for row in table] for table in board.tables] == [[["honest"]], [["flattered"]]]
    assert [row.rank for row in board.rows] == [1, 1]
    words = "selected on split 'train', which it trains on"
    for text in (to_text(board), to_markdown(board), html.unescape(to_html(board)), to_csv(board)):
        assert words.removeprefix("selected on ") in text
    assert words in to_text(board)
