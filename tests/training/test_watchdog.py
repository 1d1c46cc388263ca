"""The watchdog of a rank: what it leaves, what it ends, and its time limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.training.watchdog import DEFAULT_S, TIMEOUT, Watchdog


def test_a_run_that_goes_on_leaves_no_trace_of_its_watchdog(tmp_path: Path) -> None:
    with Watchdog(tmp_path, 0, 60.0) as watchdog:
        watchdog.beat()
        assert (tmp_path / "stacks-rank0.txt").exists()
    assert list(tmp_path.iterdir()) == []
    with Watchdog(tmp_path, 0, 0.0) as watchdog:
        watchdog.beat()
        assert list(tmp_path.iterdir()) == []


def test_stacks_of_an_earlier_hang_are_kept(tmp_path: Path) -> None:
    (tmp_path / "stacks-rank3.txt").write_text("where it stood\n")
    with Watchdog(tmp_path, 3, 60.0):
        pass
    assert (tmp_path / "stacks-rank3.txt").read_text() == "where it stood\n"


def test_a_process_without_a_beat_ends_and_says_where_it_stood(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from raytrain.training.watchdog import Watchdog

def hang():
    time.sleep(60)

with Watchdog(Path({str(tmp_path)!r}) / "run", 1, 0.4) as watchdog:
    for _ in range(3):
        time.sleep(0.2)
        watchdog.beat()
    print("still here", flush=True)
    hang()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "still here\n"), done.stderr
    assert "in hang" in (tmp_path / "run" / "stacks-rank1.txt").read_text()


@pytest.mark.parametrize(("value", "seconds"), [(None, DEFAULT_S), ("12.5", 12.5), ("0", 0.0)])
def test_the_time_limit_comes_from_the_environment(
    value: str | None, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TIMEOUT, raising=False)
    if value is not None:
        monkeypatch.setenv(TIMEOUT, value)
    assert Watchdog(tmp_path, 0).timeout_s == seconds


@pytest.mark.parametrize("value", ["soon", "-1", "nan", ""])
def test_a_wrong_time_limit_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEOUT, value)
    with pytest.raises(UsageError, match=f"{TIMEOUT}={value} is no number of seconds"):
        Watchdog(tmp_path, 0)
