"""Training and a sweep on two nodes, as users start them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.config import override, to_yaml
from raytrain.review.write import read_leaderboard
from raytrain.tracking.journal import Journal
from raytrain.training.checkpoint import complete, load
from tests.packages import installed
from tests.ray_cluster import ROOT, LocalCluster
from tests.runs import small_run
from tests.tables import make_table

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
TRAIN = """
import json, sys, raytrain
from raytrain.progress import to_stderr
run = raytrain.train(sys.argv[1], workers=2, tracking=sys.argv[2], progress=to_stderr)
print(json.dumps(run.as_dict()))
"""
"""A call from Python, with the path of a recipe and a store of MLflow."""


def mlflow_states(uri: str, experiment: str = "small") -> dict[str, str]:
    """{run name: status}; a name that MLflow has twice fails."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    result = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    states = {run.info.run_name: run.info.status for run in result}
    assert len(states) == len(result)
    return states


@pytest.fixture
def two_towers(cluster: LocalCluster, example_package: Path) -> Iterator[None]:
    """The example package is installed here and on every node."""
    shutil.copytree(example_package, cluster.site, dirs_exist_ok=True)
    with installed(example_package):
        yield
    shutil.rmtree(cluster.site)
    cluster.site.mkdir()


def test_a_run_of_two_workers_leaves_what_a_plain_run_leaves_and_its_method_may_be_of_another_package(
    cluster: LocalCluster, two_towers: None, tmp_path: Path
) -> None:
    config = override(small_run(tmp_path, num_epochs=3), {"name": "two", "method.kind": "two_towers"})
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    done = cluster.run("-c", TRAIN, str(tmp_path / "run.yaml"), uri)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # nothing else is printed there
    assert result["run"] == str(config.folder)
    assert result["epochs"] == 3
    events = Journal(config.folder).read()
    assert [e["event"] for e in events] == ["start", "epoch", "epoch", "epoch", "end"]
    assert events[0]["workers"] == 2
    assert events[0]["plugins"] == {"method": "raytrain-two-towers==0.1"}
    assert events[-1]["status"] == "finished"
    kept = complete(config.folder)
    assert 1 <= len(kept) <= 2  # the best and the last
    assert load(kept[-1]).manifest["epoch"] == 3
    assert max(e["metrics"]["val/rsum"] for e in events if e["event"] == "epoch") == result["best"]
    assert mlflow_states(uri) == {"two": "FINISHED"}
    assert "epoch 3/3" in done.stderr  # progress, one line per epoch
    read_leaderboard(config.storage).write(tmp_path / "board")
    assert "Two towers" in (tmp_path / "board" / "leaderboard.md").read_text()


def test_a_submitted_sweep_ends_with_exit_code_zero_and_a_leaderboard(
    cluster: LocalCluster, empty_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_store, tmp_path)
    make_table(tmp_path / "table", items=64)
    config = small_run(tmp_path, num_epochs=2, batch_size=64)
    (tmp_path / "base.yaml").write_text(to_yaml(config))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "prices.yaml").write_text("currency: EUR\ndate: 2026-11-01\ncpu_hour: 3600\n")
    submit = [
        "-m",
        "raytrain.cli",
        "submit",
        "--address",
        cluster.dashboard,
        "--working-dir",
        str(ROOT),
        "--json",
        "--",
    ]
    sweep = ["python", "jobs/sweep.py", "dvse_core", "--recipe", str(tmp_path / "base.yaml"), "--name", "job"]
    sweep += ["--trials", "2", "--rerank-trials", "20", "--tracking", uri, "--json"]
    sweep += ["--prices", str(tmp_path / "prices.yaml")]
    done = cluster.run(*submit, *sweep)
    assert done.returncode == 0, done.stdout + done.stderr
    job = json.loads(done.stdout)  # and nothing else: what the job said went to stderr
    assert (job["status"], job["exit_code"], job["joined"]) == ("SUCCEEDED", 0, False)
    result = json.loads(next(line for line in done.stderr.splitlines() if line.startswith('{"sweep"')))
    assert result["cost"]["slots"] == 2
    assert result["cost"]["money"] == pytest.approx(result["worker_seconds"] + result["cost"]["lost_seconds"])
    assert 0 < result["cost"]["busy"] < 1
    assert result["trials"]["total"] == 2
    assert result["best"]["run"].startswith("job-t00")
    assert result["rerank"]["settings_tried"] > 0
    runs = Path(config.storage) / "small"
    zero = Journal(runs / "job-t000").last("start")
    assert zero is not None
    assert zero["config"]["optim.lr"] == config.optim.lr  # trial 0 is the recipe
    sweep_start = Journal(runs / "job").last("start")
    assert sweep_start is not None
    assert zero["parent"] == sweep_start["uid"]
    states = mlflow_states(uri)
    assert set(states) == {"job", "job-t000", "job-t001"}
    assert "RUNNING" not in states.values()
    assert main(["leaderboard", "--storage", config.storage, "--experiment", "small"]) == 0
    board = capsys.readouterr().out
    assert "DVSE" in board.upper()
    assert "2 runs" in board
    again = cluster.run(*submit, *sweep)
    assert again.returncode == 0, again.stdout + again.stderr
    joined = json.loads(again.stdout)
    assert joined["joined"] and joined["submission_id"] == job["submission_id"]
    assert [e["event"] for e in Journal(runs / "job").read()].count("start") == 1  # it did not run twice


def test_a_submitted_job_passes_its_exit_code_and_a_stranger_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "job.py").write_text("import sys; print('seen'); sys.exit(75)")
    submit = [
        "-m",
        "raytrain.cli",
        "submit",
        "--address",
        cluster.dashboard,
        "--working-dir",
        str(tmp_path / "tree"),
    ]
    done = cluster.run(*submit, "--", "python", "job.py")
    assert done.returncode == 75, done.stdout + done.stderr
    assert done.stdout.splitlines().count("seen") == 1
    (tmp_path / "token").write_text("0" * 64)
    (tmp_path / "token").chmod(0o600)
    stranger = LocalCluster(cluster.folder, cluster.port, cluster.dashboard_port, {
        **cluster.env, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
    })  # fmt: skip
    refused = stranger.run(*submit, "--", "python", "job.py")
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "refuses this token" in refused.stderr


def test_the_doctor_finds_the_cluster_closed_to_strangers(cluster: LocalCluster, tmp_path: Path) -> None:
    done = cluster.run("-m", "raytrain.cli", "doctor", "--storage", str(tmp_path / "runs"), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["authentication"]["state"] == checks["dashboard"]["state"] == "ok"
    assert checks["cluster"]["found"].startswith("2 nodes, 2 CPUs")
    assert checks["token"]["state"] == "ok"
    nodes = [check for name, check in checks.items() if name.startswith("node ")]
    assert nodes and all(check["state"] == "ok" for check in nodes), nodes  # asked there, and they saw the storage
    assert not list((tmp_path / "runs").glob(".doctor-*"))
