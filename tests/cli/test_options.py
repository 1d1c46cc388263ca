from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.cli.options import run_of, tracking_uri, use_gpu, worker_resources
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


def test_no_tracker_is_prepared_where_none_is_wanted_or_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri("none", str(tmp_path)) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert tracking_uri(None, str(tmp_path)) is None
    with pytest.raises(UsageError, match="neither sqlite"):
        tracking_uri("mlruns", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
