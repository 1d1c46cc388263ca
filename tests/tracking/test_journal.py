"""The journal: torn lines, numbers that JSON has not, and who is still writing."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

from raytrain.tracking.journal import NAME, Journal, has_writer


def test_a_torn_line_loses_itself_and_nothing_else(tmp_path: Path) -> None:
    Journal(tmp_path).write("start", uid="a")
    with open(tmp_path / NAME, "ab") as file:
        file.write(b'{"event": "epoch", "time": 1, "metr')  # killed here
    assert [event["event"] for event in Journal(tmp_path).read()] == ["start"]
    Journal(tmp_path).write("epoch", epoch=1, metrics={})
    assert [event["event"] for event in Journal(tmp_path).read()] == ["start", "epoch"]


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    Journal(tmp_path).write("repeat", std=math.nan, values=[math.inf, 1.5])
    (event,) = Journal(tmp_path).read()
    assert (event["std"], event["values"]) == (None, [None, 1.5])


def test_a_writer_is_seen_until_its_process_is_killed(tmp_path: Path) -> None:
    write = "import sys, time; from raytrain.tracking.journal import Journal; j = Journal(sys.argv[1]); "
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{write} j.write('start', uid='a'); print('written', flush=True); time.sleep(600)",
            tmp_path,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert has_writer(tmp_path)
        Journal(tmp_path).write("epoch", metrics={})  # others may write beside it
    finally:
        process.kill()
        process.wait()
    assert not has_writer(tmp_path)
    assert not has_writer(tmp_path / "nothing here")
