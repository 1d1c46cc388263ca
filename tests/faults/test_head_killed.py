"""Kill -9 of a cluster's head in the middle of a sweep, which goes on in another cluster on the same storage."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from raytrain.config import VSEInfinityConfig, override, to_yaml
from raytrain.tracking.journal import Journal
from tests.faults.test_kills import epochs, wait_for
from tests.ray_cluster import LocalCluster, start_cluster
from tests.runs import small_run
from tests.tables import make_table

EPOCHS = 40  # of a trial that is to be hurt while it trains
pytestmark = [pytest.mark.faults, pytest.mark.cluster, pytest.mark.slow]


def test_a_sweep_whose_head_is_killed_leaves_with_code_75_and_goes_on_under_a_new_head(
    cluster: LocalCluster, empty_store: Path, tmp_path: Path
) -> None:
    make_table(tmp_path / "table", items=160)  # enough captions for the space's smallest batches
    base = override(small_run(tmp_path, num_epochs=EPOCHS, batch_size=64), {"method": VSEInfinityConfig()})
    (tmp_path / "recipe.yaml").write_text(to_yaml(base))
    folder = tmp_path / "runs" / "small" / "s"
    shutil.copy(empty_store, tmp_path)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    sweep = ["-m", "raytrain.cli", "sweep", "vse_infinity_core", "--tracking", store, "--json"]
    first = ["--recipe", str(tmp_path / "recipe.yaml"), "--name", "s", "--trials", "2"]
    options = ["--grace-epochs", str(EPOCHS), "--sampler", "random", "--rerank-trials", "0"]

    doomed = start_cluster(nodes=1)
    try:
        doomed.env["RAYTRAIN_HEAD_TIMEOUT_S"] = "5"
        driver = doomed.python(*sweep, *first, *options)
        wait_for(lambda: len(epochs(folder.parent / "s-t000")) >= 3, driver)
        assert len(doomed.kill_node(0)) > 5  # the head, and the worker and the driver of the trial with it
        _, said = driver.communicate(timeout=120)
        at_kill = epochs(folder.parent / "s-t000")
    finally:
        doomed.stop()
    assert driver.returncode == 75, said
    assert "the head of the cluster" in said
    assert "--resume s --address" in said
    assert 3 <= len(at_kill) < EPOCHS
    interrupted = Journal(folder).last("end")
    assert interrupted is not None
    assert interrupted["status"] == "interrupted"
    assert [event for event in Journal(folder).read() if event["event"] == "trial"] == []
    assert doomed.everything() == []

    done = cluster.run(*sweep, "--resume", str(folder), "--address", cluster.address)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["trials"] == {"total": 2, "complete": 2, "pruned": 0, "failed": 0}
    events = Journal(folder).read()
    assert sorted(event["number"] for event in events if event["event"] == "trial") == [0, 1]
    heads = [event["ray"]["node"] for event in events if event["event"] in ("start", "resume")]
    assert len(set(heads)) == 2  # another cluster it was
    for name in ("s-t000", "s-t001"):
        run = Journal(folder.parent / name).read()
        assert epochs(folder.parent / name) == list(range(1, EPOCHS + 1))
        assert run[-1]["status"] == "finished"
    resumes = [event for event in Journal(folder.parent / "s-t000").read() if event["event"] == "resume"]
    assert [event["epoch"] >= 1 for event in resumes] == [True]  # from a checkpoint, not from the start
    assert sorted(path.name for path in folder.parent.iterdir()) == ["s", "s-t000", "s-t001"]

    from mlflow import MlflowClient

    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    assert Counter((run.info.run_name, run.info.status) for run in runs) == {
        (name, "FINISHED"): 1 for name in ("s", "s-t000", "s-t001")
    }
