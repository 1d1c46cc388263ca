from __future__ import annotations

import pytest

from raytrain.cli.options import print_runs_page, run_of, use_gpu, worker_resources
from raytrain.errors import UsageError


def test_a_run_is_a_recipe_with_its_texts_read_by_their_fields() -> None:
    run = run_of("dvse_emoji", ["name=001", "optim.lr=1e-3"])
    assert (run.name, run.optim.lr, run.experiment) == ("001", 1e-3, "emoji")
    assert run_of("dvse_emoji", None) == run_of("dvse_emoji", [])


def test_gpus_are_left_to_ray_unless_asked_for() -> None:
    assert (use_gpu("auto"), use_gpu("yes"), use_gpu("no")) == (None, True, False)
    assert worker_resources(0.5, 2) == {"CPU": 0.5, "GPU": 2}
    with pytest.raises(UsageError, match="--gpu no leaves GPUs out"):
        worker_resources(1, 0)


def test_the_page_of_runs_is_printed_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = {"emoji": "http://host/#/experiments/1"}
    monkeypatch.setattr("raytrain.tracking.mlflow.runs_page", lambda uri, experiment: pages.get(experiment))
    for uri, experiment in ((None, "emoji"), ("http://host", "other"), ("http://host", "emoji")):
        print_runs_page(uri, experiment)
    assert capsys.readouterr().out == "MLflow: http://host/#/experiments/1\n"
