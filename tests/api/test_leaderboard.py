"""Rows that a DataFrame takes; files only where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain
from tests.review.made_runs import make_run


def test_rows_become_a_data_frame_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "e" / "a")
    make_run(tmp_path / "e" / "b", strength=0.5, **{"optim.lr": 1e-3})
    before = sorted(path.name for path in tmp_path.iterdir())
    board = raytrain.leaderboard(tmp_path, "e")
    assert [row["rank"] for row in board.rows] == [1, 2] and board.counts == {"finished": 2}
    pandas = pytest.importorskip("pandas", reason="a DataFrame is of pandas")
    frame = pandas.DataFrame(board.rows)
    assert list(frame["runs"]) == [["a"], ["b"]] and frame["val/rsum"].is_monotonic_decreasing
    assert sorted(path.name for path in tmp_path.iterdir()) == before and not board.skipped
    assert capsys.readouterr().out == ""
    with pytest.raises(raytrain.UsageError):
        raytrain.leaderboard(tmp_path, "nothing")
