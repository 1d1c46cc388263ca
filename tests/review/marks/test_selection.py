"""Runs that were selected on what they train on are marked."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from raytrain.data.table import Table
from raytrain.review.leaderboard import read_board
from raytrain.review.marks.selection import is_trained_on, selected_on
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_csv, to_markdown, to_text
from tests.review.made_runs import make_run
from tests.runs import fit_here, tiny


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


def test_a_run_that_was_trained_so_is_marked_by_its_journal(table: Table, tmp_path: Path) -> None:
    fit_here(tiny(table, tmp_path, name="honest", optim__max_steps=1))
    fit_here(tiny(table, tmp_path, name="flattered", optim__max_steps=1, data__val_split="train"))
    honest, flattered = sorted(read_board(tmp_path).rows, key=lambda row: row.selection)
    assert (honest.runs, honest.selection) == (["honest"], "")
    assert (flattered.runs, flattered.selection) == (["flattered"], "split 'train', which it trains on")
    assert honest.chance["val"]["t2i/recall_at_10"] == 100.0  # of six images, though nothing was evaluated
