"""How far a run is within an epoch: written beside the steps, read by its life, never in the way of the run."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from raytrain.tracking import step_progress
from raytrain.tracking.step_progress import NAME, StepProgress, StepProgressFile, read_step_progress


def until(condition: object, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_position_is_written_as_it_changes_and_removed_at_the_end(tmp_path: Path) -> None:
    position = (0, 3)
    with StepProgressFile(tmp_path, "a", 120, lambda: position, interval_s=0.01):
        until(lambda: read_step_progress(tmp_path, "a"))
        assert read_step_progress(tmp_path, "a") == StepProgress(life="a", epochs=0, step=3, steps=120)
        position = (2, 40)
        until(lambda: str(read_step_progress(tmp_path, "a")) == "epoch 3, step 40 of 120")
        assert read_step_progress(tmp_path, "b") is None  # what a killed life left is no position of the next one
    assert list(tmp_path.iterdir()) == []


def test_a_position_that_stands_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr(step_progress, "write_json", lambda path, value: written.append(value))
    looks = 0

    def position() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return 1, 0

    with StepProgressFile(tmp_path, "a", 7, position, interval_s=0.001):
        until(lambda: looks > 3)
    assert written == [{"life": "a", "epochs": 1, "step": 0, "steps": 7}]


def test_after_the_last_step_of_an_epoch_it_says_so() -> None:
    assert str(StepProgress(life="a", epochs=2, step=0, steps=7)) == "epoch 2, after its last step"
    assert str(StepProgress(life="a", epochs=0, step=0, steps=7)) == "epoch 1, step 0 of 7"


def test_a_folder_that_takes_no_file_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def full(path: Path, value: object) -> None:
        nonlocal tries
        tries += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step_progress, "write_json", full)
    with StepProgressFile(tmp_path, "a", 7, lambda: (0, 1), interval_s=0.001) as file:
        until(lambda: tries > 2)  # it is tried again
        assert file._thread.is_alive()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"life": "a", "epochs": -1, "step": 0, "steps": 1})])
def test_a_damaged_file_is_no_position(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_step_progress(tmp_path, "a") is None
