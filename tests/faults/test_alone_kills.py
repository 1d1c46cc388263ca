"""Kill -9 of a trial that trains in Tune's own process, while another one trains beside it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from raytrain.tracking.journal import Journal
from tests.faults.drive_alone import EPOCHS, TRIALS
from tests.faults.test_kills import epochs, wait_for
from tests.ray_cluster import LocalCluster
from tests.sweeps.sweep_driver import result_of

pytestmark = [pytest.mark.faults, pytest.mark.cluster, pytest.mark.slow]


def test_a_killed_trial_goes_on_from_its_checkpoint_and_a_nan_is_not_tried_again(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    runs = tmp_path / "runs" / "small"
    process = cluster.python("-m", "tests.faults.drive_alone", str(tmp_path))
    wait_for(lambda: len(epochs(runs / "alone-t000")) >= 2, process)
    trains = wait_for(lambda: {run.name: pid for pid, run in cluster.training().items()}.get("alone-t000"), process)
    os.kill(trains, signal.SIGKILL)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    result = result_of(out)
    assert result["trials"] == {"total": TRIALS, "complete": TRIALS - 1, "pruned": 0, "failed": 1}
    journals = [Journal(runs / f"alone-t{number:03d}").read() for number in range(TRIALS)]
    resumes = [[e for e in events if e["event"] == "resume"] for events in journals]
    assert sum(map(len, resumes)) == 1  # the kill happened, and its trial went on once
    for number, events in enumerate(journals):
        if number == 1:
            assert [e["event"] for e in events] == ["start", "end"]
            assert "NonFiniteError" in events[-1]["error"]
        else:
            assert [e["epoch"] for e in events if e["event"] == "epoch"] == list(range(1, EPOCHS + 1))
            assert events[-1]["status"] == "finished"
    trials = [e for e in Journal(runs / "alone").read() if e["event"] == "trial"]
    assert sorted(e["number"] for e in trials) == list(range(TRIALS))
    assert "NonFiniteError" in next(e["error"] for e in trials if e["number"] == 1)
