"""An early stop on a cluster: the process of the stopped trial takes the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import read_run
from tests.ray_cluster import LocalCluster
from tests.sweeps.drive_stopped import EPOCHS, GRACE, TRIALS
from tests.sweeps.sweep_driver import result_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_a_sweep_goes_on_in_the_process_of_a_trial_that_was_stopped_early(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    done = cluster.run("-m", "tests.sweeps.drive_stopped", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    trials, studied = result_of(done.stdout)["trials"], result_of(done.stdout.partition('"trials"')[2])
    # the study that follows took the sweep's first trial and trained its other run to the end, on the same cluster
    assert (studied["counts"]["recorded"], studied["trained"], studied["left"]) == (1, 1, 0)
    assert read_run(tmp_path / "runs" / "small" / "margins-t000").epochs == EPOCHS
    assert trials["total"] == TRIALS
    assert trials["failed"] == 0
    assert trials["pruned"] >= 1
    assert "re-use" not in done.stderr
    runs = [Journal(tmp_path / "runs" / "small" / f"stopped-t{number:03d}").read() for number in range(TRIALS)]
    assert [e["epoch"] for e in runs[0] if e["event"] == "epoch"] == list(range(1, EPOCHS + 1))
    assert [e["epoch"] for e in runs[1] if e["event"] == "epoch"] == list(range(1, GRACE + 1))
    assert [events[-1]["status"] for events in runs[:2]] == ["finished", "pruned"]
    for events in runs:
        assert [e["event"] for e in events].count("start") == 1  # handed out once, and no process lost
        assert events[-1]["event"] == "end"
