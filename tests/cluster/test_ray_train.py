"""Training under Ray Train, without a cluster: restarts, errors, memory, and what a killed controller left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from raytrain.cluster import compat, ray_train
from raytrain.cluster.ray_train import (
    FINAL,
    StaleSnapshot,
    drop_partial,
    prepare_folder,
    refuse_stale_snapshot,
    within_memory,
)
from raytrain.config import flatten, override
from raytrain.data.table import Table
from raytrain.errors import NonFiniteError, OutOfMemory, RaytrainError
from raytrain.tracking.journal import Journal
from raytrain.training.checkpoint import newest_whole
from tests.runs import small_run
from tests.training.test_checkpoint import flip
from tests.training.test_checkpoint import write as write_checkpoint


def test_a_run_that_ray_gave_up_is_started_again_and_one_that_failed_by_itself_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed")
    from ray.train import ControllerError, WorkerGroupError

    config = override(small_run(tmp_path), {"name": "run"})
    tries: list[Exception | None] = []

    def ends(*errors: Exception | None) -> Callable[[], Any]:
        tries.clear()

        def fit() -> None:
            tries.append(errors[len(tries)])
            if tries[-1]:
                raise tries[-1]

        return lambda: SimpleNamespace(fit=fit)

    died = ControllerError(RuntimeError("a worker died while it was started"))
    ray_train._fit(config, ends(died, died, None))
    assert len(tries) == 3
    assert "run starts again: RuntimeError: a worker died" in capsys.readouterr().err
    with pytest.raises(RaytrainError, match="a worker died"):
        ray_train._fit(config, ends(*[died] * 9))
    assert len(tries) == 1 + ray_train.CONTROLLERS_LOST
    own = ControllerError(NonFiniteError("step 3: loss is nan"))  # as our callback ends a run
    for error in (own, WorkerGroupError("lost", {0: NonFiniteError("step 3: loss is nan")})):
        with pytest.raises(NonFiniteError):
            ray_train._fit(config, ends(error, None))
        assert len(tries) == 1


def test_a_run_out_of_memory_ends_with_what_to_do_and_is_not_tried_again() -> None:
    from raytrain.sweeps.study import OWN_FAULTS

    error = pytest.raises(OutOfMemory, match=r"tried to allocate.*optim\.batch_size")
    with error, within_memory(torch.device("cpu"), 0.5):
        raise torch.OutOfMemoryError("tried to allocate 3 GiB\nmore")
    assert OutOfMemory in FINAL
    assert "OutOfMemory" in OWN_FAULTS


@pytest.mark.parametrize(("content", "kept"), [("whole", True), ("gone", False), ("half", False)])
def test_a_snapshot_that_a_kill_left_unusable_is_removed(
    content: str, kept: bool, table: Table, tmp_path: Path
) -> None:
    config = override(small_run(tmp_path), {"name": "run"})
    checkpoint = write_checkpoint(config.folder, table, 1)
    name = "checkpoint_00000009" if content == "gone" else checkpoint.name
    text = json.dumps({"checkpoint_results": [{"checkpoint_dir_name": name}]})
    snapshot = config.folder / compat.SNAPSHOT
    snapshot.write_text(text[:-5] if content == "half" else text)
    prepare_folder(config)
    assert snapshot.exists() == kept


def test_checkpoints_within_an_epoch_go_once_a_newer_one_is_there(table: Table, tmp_path: Path) -> None:
    within, epoch, newer = (
        write_checkpoint(tmp_path, table, step, value) for step, value in ((1, None), (2, 5.0), (3, None))
    )
    drop_partial(tmp_path, epoch)
    assert not within.exists() and epoch.exists() and newer.exists()


def test_a_snapshot_that_counts_on_a_damaged_checkpoint_is_removed_and_the_controller_started_again(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else it would take the checkpoint that is written anew for two, and remove its folder with the first of them."""
    pytest.importorskip("ray.train", reason="Ray is not installed")
    from ray.train import ControllerError

    config = override(small_run(tmp_path), {"name": "run"})
    older, newer = (write_checkpoint(config.folder, table, step, float(step)) for step in (1, 2))
    Journal(config.folder).write("start", config=flatten(config), uid="u")
    snapshot = config.folder / compat.SNAPSHOT
    snapshot.write_text(json.dumps({"checkpoint_results": [{"checkpoint_dir_name": newer.name}]}))
    prepare_folder(config)
    refuse_stale_snapshot(config.folder, newest_whole(config.folder))
    assert snapshot.exists()
    flip(newer / "state.pt")
    resumption = newest_whole(config.folder)
    assert resumption.path == older and list(resumption.left) == [newer.name]
    with pytest.raises(StaleSnapshot, match=newer.name) as stale:
        refuse_stale_snapshot(config.folder, resumption)
    outcomes: list[Exception | None] = [ControllerError(stale.value), None]

    def fit() -> None:
        if error := outcomes.pop(0):
            raise error

    ray_train._fit(config, lambda: SimpleNamespace(fit=fit))
    assert outcomes == [] and not snapshot.exists()
    assert "run starts again: StaleSnapshot" in capsys.readouterr().err
    refuse_stale_snapshot(config.folder, resumption)
