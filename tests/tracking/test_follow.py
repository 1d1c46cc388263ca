"""Following a run that trains elsewhere: each new event is one line, and a later follower repeats none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from raytrain.config import override
from raytrain.files import write_json
from raytrain.tracking.follow import Follower, describe
from raytrain.tracking.journal import Journal
from tests.runs import small_run


def test_a_follower_prints_what_is_new_and_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = override(small_run(tmp_path), {"name": "run"})
    journal = Journal(config.folder)
    journal.write("start", uid="u")
    with Follower(config, None, interval_s=0.01):
        journal.write("epoch", epoch=1, metrics={"val/rsum": 12.345})
        journal.write("end", status="finished", error=None)
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["run epoch 1/3 val/rsum 12.35", "run end: finished"]
    with Follower(config, None, interval_s=0.01):
        pass
    assert capsys.readouterr().err == ""


def test_between_two_epochs_it_says_how_far_the_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = override(small_run(tmp_path), {"name": "run"})
    journal, seen = Journal(config.folder), ""

    def wait_for(line: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + 5.0
        while line not in seen:
            assert time.monotonic() < deadline, seen
            time.sleep(0.005)
            seen += capsys.readouterr().err

    with Follower(config, None, interval_s=0.005, quiet_s=0.0):
        wait_for("run is being set up")
        journal.write("start", uid="u", life="a")
        wait_for("run start")
        write_json(config.folder / "progress.json", {"life": "a", "epochs": 0, "step": 4, "steps": 9})
        wait_for("run epoch 1, step 4 of 9")
        write_json(config.folder / "progress.json", {"life": "a", "epochs": 0, "step": 8, "steps": 9})
        wait_for("run epoch 1, step 8 of 9")
    assert seen.count("step 4 of 9") == seen.count("is being set up") == 1


def test_events_are_described_with_what_matters_of_them(tmp_path: Path) -> None:
    config = override(small_run(tmp_path), {"name": "run"})

    def line(**event: object) -> str:
        return describe(config, {"time": 0.0, **event}).split(" ", 1)[1]

    assert line(event="epoch", epoch=2, metrics={"val/rsum": None}) == "run epoch 2/3 val/rsum none"
    assert line(event="resume", epoch=2) == "run resume after epoch 2"
    left = {"checkpoint_00000009": "state.pt: missing"}
    assert line(event="resume", epoch=2, checkpoint="checkpoint_00000006", left=left) == (
        "run resume after epoch 2, from checkpoint_00000006; damaged and set aside: checkpoint_00000009 (state.pt: "
        "missing)"
    )
    assert "after epoch 0, from the beginning; damaged" in line(event="resume", epoch=0, checkpoint=None, left=left)
    assert line(event="end", status="failed", error="NonFiniteError: x") == "run end: failed (NonFiniteError: x)"


def test_a_damaged_line_is_named_once_and_the_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = override(small_run(tmp_path), {"name": "run"})
    journal = Journal(config.folder)
    journal.write("start", uid="a", kind="run")
    with Follower(config, None, interval_s=0.01):
        with open(journal.path, "ab") as file:
            file.write(b'{"event": "epoch", "time": "noon"}\n')
        journal.write("epoch", epoch=1, step=1, metrics={"val/rsum": 12.0})
        journal.close()
    lines = [line for line in capsys.readouterr().err.splitlines() if "journal.jsonl, row 2" in line]
    assert len(lines) == 1 and "field time" in lines[0]
