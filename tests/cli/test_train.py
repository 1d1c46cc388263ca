"""What `raytrain train` asks of the loop and of Ray; both are stand-ins. tests/cli/test_main.py trains for real."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.config import override
from raytrain.data.table import Table
from raytrain.recipes import RECIPES
from tests.training.test_checkpoint import write as write_checkpoint


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Ray was asked for, filled when it is."""
    calls: dict[str, Any] = {}
    done = SimpleNamespace(best_metrics={"val/rsum": 5.0, "cost/x": 1.0}, best=5.0, epochs=2)

    def train_on_ray(config: Any, **more: Any) -> Any:
        calls.update(config=config, **more)
        return done

    monkeypatch.setitem(sys.modules, "raytrain.cluster.ray_train", SimpleNamespace(train_on_ray=train_on_ray))
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: calls.update(address=address))
    return calls


def test_workers_train_on_ray_with_what_the_flags_say(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = (
        f"train name=a dvse_emoji --workers 2 storage={tmp_path} data.table={tmp_path} --address host:1 --gpu yes "
        "--cpus-per-worker 3 --gpus-per-worker=0.5 optim.lr=1e-3 --max-failures 1 --tracking none"
    )
    assert main(line.split()) == 0
    changes = {"name": "a", "storage": str(tmp_path), "data.table": str(tmp_path), "optim.lr": 1e-3}
    assert asked == {
        "config": override(RECIPES["dvse_emoji"](), changes), "workers": 2, "use_gpu": True, "address": "host:1",
        "resources_per_worker": {"CPU": 3.0, "GPU": 0.5}, "max_failures": 1, "tracking_uri": None,
    }  # fmt: skip
    assert capsys.readouterr().out == f"{tmp_path}/emoji/a: 2 epochs, best val/rsum 5.00\n"


def test_a_submitted_job_trains_on_its_cluster_with_the_defaults(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.cluster.connect.in_submitted_job", lambda: True)
    places = [f"storage={tmp_path}", f"data.table={tmp_path}/t"]
    assert main(["train", "dvse_emoji", *places, "name=a", "--tracking", "none"]) == 0
    del asked["config"]
    assert asked == {
        "workers": 1, "use_gpu": None, "address": None, "resources_per_worker": {"CPU": 1.0, "GPU": 1.0},
        "max_failures": 3, "tracking_uri": None,
    }  # fmt: skip


def test_no_cpu_is_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    assert main(["train", "dvse_emoji", "--workers=1", "--cpus-per-worker=0", f"storage={tmp_path}"]) == 2
    assert "config" not in asked


@pytest.mark.parametrize("given", ["run", "checkpoint"])
def test_a_run_starts_from_a_checkpoint_or_from_the_best_one_of_a_run(
    given: str, asked: dict[str, Any], table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, last = (write_checkpoint(tmp_path / "first", table, step, -float(step)) for step in (1, 2))
    folder = {"run": tmp_path / "first", "checkpoint": last}[given]
    places = [f"storage={tmp_path}", f"data.table={table.path}", "name=a", "--tracking", "none", "--workers", "1"]
    assert main(["train", "dvse_emoji", "--from", str(folder), *places]) == 0
    assert asked["config"].optim.start_from == str({"run": best, "checkpoint": last}[given])
    capsys.readouterr()
    assert main(["train", "dvse_emoji", "--from", str(tmp_path / "none"), *places]) == 2
    assert "holds no finished checkpoint" in capsys.readouterr().err


def test_a_run_that_selects_on_what_it_trains_on_says_so_before_and_in_its_result(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"train dvse_emoji --workers 1 name=a storage={tmp_path} data.table={tmp_path} data.val_split=train --json"
    assert main([*line.split(), "--tracking", "none"]) == 0
    printed = capsys.readouterr()
    words = "split 'train', which it trains on"
    assert printed.err.startswith(f"selected on {words}; leaderboards list such runs in a table of their own\n")
    assert json.loads(printed.out)["selected_on"] == words
