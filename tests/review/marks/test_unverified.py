"""Rows whose features were read unverified are marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.table import Table
from raytrain.review.leaderboard import read_board
from raytrain.review.marks.unverified import evaluated_unverified, trained_unverified
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_csv, to_markdown, to_text
from raytrain.run_evaluation.evaluate import evaluate_run
from tests.runs import fit_here, tiny


@pytest.mark.parametrize(
    ("events", "unverified"),
    [
        ([{"event": "start", "features_verified": True}], False),
        ([{"event": "start"}], False),  # of a version that verified nothing and said nothing
        ([{"event": "start", "features_verified": True}, {"event": "resume", "features_verified": False}], True),
        ([{"event": "evaluation", "features_verified": False}], False),
    ],
)
def test_one_start_without_verification_marks_a_run(events: list[dict[str, object]], unverified: bool) -> None:
    assert trained_unverified(events) == unverified
    assert evaluated_unverified([None, *events]) == any(e.get("features_verified") is False for e in events)


def test_each_form_says_where_features_were_unverified(table: Table, tmp_path: Path) -> None:
    fit_here(tiny(table, tmp_path, name="plain", optim__max_steps=1))
    fit_here(tiny(table, tmp_path, name="trained", optim__max_steps=1, optim__lr=2e-3, feed__verify=False))
    board = read_board(tmp_path)
    assert {row.runs[0]: row.unverified for row in board.rows} == {"plain": "", "trained": "training"}
    for name in ("plain", "trained"):
        evaluate_run(tmp_path / "default" / name, verify_features=False)
    board = read_board(tmp_path)
    assert {row.runs[0]: row.unverified for row in board.rows} == {
        "plain": "evaluation", "trained": "training, evaluation"
    }  # fmt: skip
    for text in (to_text(board), to_markdown(board), to_html(board), to_csv(board)):
        assert "training, evaluation" in text
