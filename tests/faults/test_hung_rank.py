"""A rank that hangs: nobody waits for ever, the stacks say where each rank stood, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raytrain.tracking.journal import Journal
from raytrain.training.watchdog import TIMEOUT
from tests.ray_cluster import ROOT
from tests.runs import small_run

pytestmark = pytest.mark.faults


def two_ranks(folder: Path, *arguments: str) -> list[tuple[int, str]]:
    """(exit code, what it said) of both ranks of a run."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.drive_hang", str(folder), str(rank), *arguments],
            env=os.environ | {"RANK": str(rank), TIMEOUT: "8", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=120)[1] for rank in ranks]
    return [(rank.returncode, text) for rank, text in zip(ranks, said, strict=True)]


def test_a_hung_rank_ends_the_run_which_then_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    small_run(tmp_path)  # makes the table, once
    folder = tmp_path / "runs" / "small" / "held"
    hung = two_ranks(tmp_path, "hang")
    assert all(code != 0 for code, _ in hung), hung
    stacks = [(folder / f"stacks-rank{rank}.txt").read_text(encoding="utf-8") for rank in range(2)]
    assert "sleep_for_ever" in stacks[1]
    assert "sleep_for_ever" not in stacks[0]
    assert "train_epoch" in stacks[0]  # waiting for the other one in its step
    assert [event["epoch"] for event in Journal(folder).read() if event["event"] == "epoch"] == [1]
    again = two_ranks(tmp_path)
    assert [code for code, _ in again] == [0, 0], again
    events = Journal(folder).read()
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert [event["epoch"] for event in events if event["event"] == "resume"] == [1]
    assert events[-1]["status"] == "finished"
