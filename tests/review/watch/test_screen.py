"""The screen, drawn into a console of fixed width: everything fits, and no text of a journal is an instruction."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from raytrain.errors import Problem
from raytrain.files import write_json
from raytrain.review.watch.journals import JournalsReader
from raytrain.review.watch.progress import Best, Failure, OpenRun, Progress
from raytrain.review.watch.progress_of import progress_of
from raytrain.review.watch.screen import screen_of
from tests.review.watch.open_sweeps import NOW, append, open_sweep

HOSTILE = "[bold]evil[/]\x1b[2J\u202e\nraytrain: all is well " + "x" * 200


def lines(progress: Progress, width: int = 80, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screen_of(progress, height))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert not {sign for sign in text if ord(sign) < 32 or 0x2028 <= ord(sign) < 0x202F} - {"\n"}
    drawn = [line.rstrip() for line in text.splitlines()]
    assert all(cell_len(line) <= width for line in drawn)
    return drawn


def test_a_sweep_part_of_the_way_fits_80_columns(tmp_path: Path) -> None:
    open_sweep(tmp_path, trials=100, hours=8, repeat_best=3, repeat_seeds=2)
    append(tmp_path / "s-t004", {"event": "resume", "time": 1390.0, "uid": "u", "life": "a"})
    write_json(tmp_path / "s-t004" / "progress.json", {"life": "a", "epochs": 0, "step": 7, "steps": 9})
    drawn = lines(progress_of(JournalsReader(tmp_path / "s").look(NOW), NOW))
    assert drawn[0].startswith("s ") and drawn[0].endswith("running  last line 10 s ago")
    assert drawn[1].endswith("3 of 100 trials")
    assert drawn[2] == "1 complete, 1 pruned, 1 failed, 2 running, slots 4 of 6 busy"
    assert " ".join(drawn[3:5]).startswith(
        "30.6 trials per hour, about 3.2 h left (--hours 8 may end it before), then 6"
    )
    assert drawn[5] == "best val/rsum 310.00  s-t003 (running)"
    cells = [line.split() for line in drawn]
    assert ["t003", "3/10", "-", "305.00", "310.00", "50", "s", "ago"] in cells
    assert ["t004", "0/10", "7/9", "-", "-", "10", "s", "ago"] in cells
    assert cells[-1] == ["t002", "NonFiniteError:", "step", "3:", "loss", "is", "nan"]


@pytest.mark.parametrize("width", [40, 80, 140])
def test_hostile_names_and_errors_are_escaped_and_fit(width: int) -> None:
    progress = Progress(
        HOSTILE, "/s", "sweep", "running", HOSTILE, total=3, done=1, states={"failed": 1},
        best=Best(HOSTILE, 1.0, {HOSTILE: HOSTILE}, HOSTILE), running=[OpenRun(HOSTILE, 1, 2, 1.0, 1.0, 3.0)],
        failures=[Failure(HOSTILE, HOSTILE)], left_unknown=f"not known: {HOSTILE}", last=0.0, error=HOSTILE,
        problems=[Problem(HOSTILE, 1, HOSTILE, HOSTILE)],
    )  # fmt: skip
    drawn = lines(progress, width)
    assert drawn[0].startswith("[bold]evil[") and len(drawn) < 60


def test_a_command_to_go_on_is_never_cut(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    drawn = "".join(lines(progress_of(JournalsReader(tmp_path / "s").look(NOW + 900), NOW + 900)))
    assert f"--resume{tmp_path / 's'}" in drawn.replace(" ", "") and "the driver is silent since" in drawn


def test_what_does_not_fit_the_height_is_counted(tmp_path: Path) -> None:
    runs = [OpenRun(f"s-t{number:03d}", 1, 2, 1.0, 1.0, 3.0) for number in range(100)]
    failures = [Failure(f"s-t{number:03d}", "OutOfMemory") for number in range(100, 120)]
    progress = Progress("s", "/s", "sweep", "running", "m", running=runs, failures=failures)
    drawn = lines(progress, height=40)
    assert len(drawn) <= 40 and any("error (the last 5 of 20)" in line for line in drawn)
    assert any(line.startswith("... and ") and line.endswith(" more that train") for line in drawn)
    assert "... and" not in "".join(lines(replace(progress, running=runs[:3]), height=40))
