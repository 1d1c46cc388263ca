"""One trial: its config, what all trials have in common, and what runs in the process that Tune starts."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cluster.compat import HEAD_NODE
from raytrain.config import RunConfig, override
from raytrain.errors import DiskFullError, NonFiniteError, RaytrainError, RefusedError
from raytrain.recipes import RECIPES
from raytrain.sweeps.trial import TrialJob, reserved, run_trial, trial_config
from raytrain.sweeps.trial_error import TrialError
from raytrain.tracking.run_record import read_run
from tests.runs import small_run
from tests.sweeps.small_sweep import write_run


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return override(small_run(tmp_path), {"name": "s"})


def test_a_trial_is_the_recipe_with_its_changes_under_the_sweeps_name(base: RunConfig) -> None:
    config = TrialJob(base, "u", "f").config(3, {"optim.lr": 0.5})
    assert config == override(base, {"name": "s-t003", "optim.lr": 0.5})
    with pytest.raises(RefusedError, match=r"may not draw data\.table"):
        trial_config(base, "s", 0, {"data.table": "elsewhere"})


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_job_of_every_recipe_survives_the_way_to_a_worker(recipe: str) -> None:
    job = TrialJob(RECIPES[recipe](), "u", "f", workers=2, resources_per_worker={"GPU": 0.5})
    arrived = pickle.loads(pickle.dumps(job))
    assert arrived == job
    assert arrived.base.method == job.base.method and type(arrived.base.method) is type(job.base.method)


def test_a_trial_of_one_worker_reserves_it_and_one_of_several_reserves_nothing_but_a_mark(base: RunConfig) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed")
    quarter = TrialJob(base, "u", "f", use_gpu=True, resources_per_worker={"GPU": 0.25})
    assert reserved(quarter).bundles == [{"CPU": 1.0, "GPU": 0.25}]
    assert reserved(TrialJob(base, "u", "f", workers=4)).bundles == [{HEAD_NODE: 0.0001}]


def test_one_worker_trains_in_tunes_process_and_several_under_ray_train(
    base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed")
    pytest.importorskip("ray.tune.integration.ray_train")
    calls: list[tuple[str, RunConfig, dict[str, Any]]] = []
    reported: list[dict[str, Any]] = []

    def on_ray(config: RunConfig, **more: Any) -> Any:
        calls.append(("ray", config, more))
        write_run(config.folder, [4.0, 3.0], "finished", gpu_seconds=2.0)
        return read_run(config.folder)

    monkeypatch.setattr(
        "raytrain.sweeps.single_worker.run_single_worker",
        lambda config, worker, parent, fingerprint: calls.append(("here", config, worker)),
    )
    monkeypatch.setattr("raytrain.cluster.ray_train.train_on_ray", on_ray)
    monkeypatch.setattr("ray.tune.integration.ray_train.TuneReportCallback", SimpleNamespace)
    monkeypatch.setattr(tune, "report", reported.append)
    drawn = {"number": 1, "changes": {"optim.lr": 0.5}}
    run_trial(drawn, TrialJob(base, "u", "f"))
    run_trial(drawn, TrialJob(base, "u", "f", workers=2, max_failures=7))
    (_, here, worker), (_, there, more) = calls
    assert here == there == trial_config(base, "s", 1, {"optim.lr": 0.5})
    assert worker == {"CPU": 1.0}
    assert (more["workers"], more["max_failures"], more["parent"], more["fingerprint"]) == (2, 7, "u", "f")
    assert reported == [{"best": 4.0, "epoch": 2, "cost/gpu_seconds": 2.0, "cost/worker_seconds": 2}]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_ends_the_sweep_is_reported_as_what_it_is_before_tune_hears_of_it(
    workers: int, base: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed")
    reported: list[dict[str, Any]] = []
    raised: list[RaytrainError] = []

    def fails(*given: object, **more: object) -> None:
        raise raised[-1]

    monkeypatch.setattr(tune, "report", reported.append)
    monkeypatch.setattr("raytrain.sweeps.single_worker.run_single_worker", fails)
    monkeypatch.setattr("raytrain.cluster.ray_train.train_on_ray", fails)
    monkeypatch.setattr("ray.tune.integration.ray_train.TuneReportCallback", SimpleNamespace)
    for error in (RefusedError("closed:\n  two lines"), DiskFullError("full"), NonFiniteError("nan")):
        raised.append(error)
        with pytest.raises(type(error)):
            run_trial({"number": 0, "changes": {}}, TrialJob(base, "u", "f", workers=workers))
    errors = [TrialError.reported_in(result) for result in reported]
    assert [str(error.fatal()) for error in errors if error] == ["closed:\n  two lines", "full"]
    assert not any("done" in result for result in reported)  # Tune tries the trial again
    with pytest.raises(RefusedError, match="may not draw"):
        run_trial({"number": 0, "changes": {"experiment": "other"}}, TrialJob(base, "u", "f"))
    assert str(TrialError.reported_in(reported[-1])).startswith("RefusedError: a search may not draw experiment")
