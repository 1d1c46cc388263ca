"""Epochs of a run and trials of a sweep as rows."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain
from tests.review.made_sweeps import write


def test_a_run_has_a_row_per_epoch(run: Path) -> None:
    rows = raytrain.history(run)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(row["val/rsum"] >= 0 and row["step"] > 0 for row in rows)


def test_a_sweep_has_a_row_per_trial_with_what_was_searched(tmp_path: Path, run: Path) -> None:
    write(
        tmp_path / "e" / "s",
        [
            {"event": "start", "time": 1.0, "kind": "sweep"},
            *(
                {"event": "trial", "time": 2.0, "number": number, "run": f"s-t00{number}", "state": "complete",
                 "params": {"optim.lr": 0.1 * number}, "value": 300.0 + number, "epochs": 2, "error": None}
                for number in (1, 0)
            ),
        ],
    )  # fmt: skip
    rows = raytrain.trials(tmp_path / "e" / "s")
    assert rows[1] == {
        "number": 1, "run": "s-t001", "state": "complete", "value": 301.0, "epochs": 2, "error": None, "optim.lr": 0.1,
    }  # fmt: skip
    assert [row["number"] for row in rows] == [0, 1]
    with pytest.raises(raytrain.UsageError, match="is no sweep"):
        raytrain.trials(run)
    with pytest.raises(raytrain.UsageError, match="no folder of a run"):
        raytrain.history(tmp_path / "nothing")
