"""A rank that hangs: nobody waits for ever, the stacks say where each rank stood, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.tracking.journal import Journal
from raytrain.training.watchdog import TIMEOUT
from tests import forked
from tests.faults import drive_hang
from tests.runs import small_run

pytestmark = pytest.mark.faults


def two_ranks(folder: Path, hang: bool) -> tuple[list[int | None], str]:
    """Exit codes of both ranks of a run, and what they wrote."""
    output = folder / "output.txt"
    ranks = []
    for rank in range(2):
        # rank 0 first: once rank 1 has ended, its collective fails, and there is no hang left to report
        environment = {"RANK": str(rank), TIMEOUT: str(4 + 2 * rank) if hang else "60"}
        ranks.append(forked.start(drive_hang.main, str(folder), rank, hang, output=output, environment=environment))
    for process in ranks:
        process.join(120)
    return [process.exitcode for process in ranks], output.read_text(encoding="utf-8")


def test_a_hung_rank_ends_the_run_which_then_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    small_run(tmp_path)  # makes the table, once
    folder = tmp_path / "runs" / "small" / "held"
    codes, output = two_ranks(tmp_path, hang=True)
    assert None not in codes and 0 not in codes, output
    stacks = [(folder / f"stacks-rank{rank}.txt").read_text(encoding="utf-8") for rank in range(2)]
    assert "sleep_for_ever" in stacks[1]
    assert "sleep_for_ever" not in stacks[0]
    assert "train_epoch" in stacks[0]  # waiting for the other one in its step
    assert [event["epoch"] for event in Journal(folder).read() if event["event"] == "epoch"] == [1]
    codes, output = two_ranks(tmp_path, hang=False)
    assert codes == [0, 0], output
    events = Journal(folder).read()
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert [event["epoch"] for event in events if event["event"] == "resume"] == [1]
    assert events[-1]["status"] == "finished"
