"""`raytrain watch` on journals that were made: on a terminal, without one, as JSON, and interrupted."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import pytest

from raytrain.cli.main import main
from tests.review.made_sweeps import end
from tests.review.watch.open_sweeps import open_sweep
from tests.review.watch.test_journals import append


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep that goes on, in an experiment of a storage: its times are of 1970, so that silence is not looked for."""
    monkeypatch.setattr(time, "time", lambda: 1400.0)
    open_sweep(tmp_path / "e")
    return tmp_path / "e" / "s"


def test_one_screen(running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for place in ([str(running)], ["s", "--storage", str(running.parents[1])]):
        assert main(["watch", *place, "--once"]) == 0
        assert "best val/rsum 310.00  s-t003 (running)" in capsys.readouterr().out


def test_one_object(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(running, {"event": "trial", "time": "noon"})
    assert main(["watch", str(running), "--once", "--json"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["status"], answer["best"]["run"], answer["done"], answer["total"]) == ("running", "s-t003", 3, 8)
    assert answer["skipped"][0]["row"] == 5 and "Left out 1 damaged lines or files" in printed.err


def test_a_line_per_change_until_the_sweep_ends(
    running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([None, None, {"event": "epoch", "time": 1399, "epoch": 1, "metrics": {"val/rsum": 7.0}}])

    def sleep(seconds: float) -> None:
        assert seconds == 0.5
        event = next(looks, end(1400, "finished"))
        if event:
            append(running if event["event"] == "end" else running.parent / "s-t004", event)

    monkeypatch.setattr(time, "sleep", sleep)
    assert main(["watch", str(running), "--interval", "0.5"]) == 0
    first, epoch, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("s: running; 3 of 8 trials") and epoch == "s-t004 epoch 1/10 val/rsum 7.00"
    assert last.startswith("s: finished")


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_it_quietly(
    terminal: bool, running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    if terminal:
        monkeypatch.setattr(sys, "stdout", screen)
    assert main(["watch", str(running)]) == 0
    assert capsys.readouterr().err == ""
    if terminal:
        assert "best" in screen.getvalue() and "\\x1b" not in screen.getvalue()  # the cursor was moved, not spelled out
        assert screen.getvalue().rstrip().endswith("\x1b[?25h")  # and is shown again


def test_a_wrong_interval_or_name_is_a_wrong_command(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(running), "--interval", "0"]) == 2
    assert "--interval 0: give a number of seconds above 0" in capsys.readouterr().err
    assert main(["watch", str(running.parent / "ss")]) == 2
    assert "no folder of a run or sweep; did you mean 's'?" in capsys.readouterr().err
