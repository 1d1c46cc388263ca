"""What is read of a sweep: its own journal and those of runs that are not recorded as ended, each line once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.files import write_json
from raytrain.review.watch.journals import JournalsReader
from raytrain.tracking import journal_tail
from raytrain.tracking.journal import Journal
from raytrain.tracking.step_progress import StepProgress
from tests.review.made_sweeps import start, write
from tests.review.watch.open_sweeps import NOW, append, open_sweep, trial, value


def test_only_runs_that_the_sweep_has_not_recorded_are_read(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    reader = JournalsReader(tmp_path / "s")
    journals = reader.look(NOW)
    assert journals.is_sweep and [event["event"] for event in journals.events] == ["start", "trial", "trial", "trial"]
    assert {name: run.record.epochs for name, run in journals.runs.items()} == {"s-t003": 3, "s-t004": 0}
    assert (journals.runs["s-t003"].began, journals.runs["s-t003"].last, journals.last) == (1200.0, 1350.0, 1390.0)
    append(tmp_path / "s", trial(1395, 3, "complete", 310.0))
    append(tmp_path / "s-t004", value(1399, 1, 100.0))
    journals = reader.look(NOW)
    assert {name: run.record.epochs for name, run in journals.runs.items()} == {"s-t004": 1}
    assert len(journals.events) == 5


def test_a_look_tells_how_far_a_run_is_within_its_epoch(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    append(tmp_path / "s-t003", {"event": "resume", "time": 1395.0, "uid": "u", "life": "b", "epoch": 3})
    reader = JournalsReader(tmp_path / "s")
    for life, step in (("a", 4), ("b", 5), ("b", 6)):  # a was killed
        write_json(tmp_path / "s-t003" / "progress.json", {"life": life, "epochs": 3, "step": step, "steps": 9})
        position = reader.look(NOW).runs["s-t003"].position
        assert position == (StepProgress(life="b", epochs=3, step=step, steps=9) if life == "b" else None)


def test_a_look_parses_new_lines_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_sweep(tmp_path)
    reader = JournalsReader(tmp_path / "s")
    reader.look(NOW)
    parsed: list[bytes] = []
    event_of = journal_tail.event_of
    monkeypatch.setattr(journal_tail, "event_of", lambda line: parsed.append(line) or event_of(line))
    reader.look(NOW)
    assert parsed == []
    append(tmp_path / "s-t004", value(1399, 1, 100.0))
    reader.look(NOW)
    assert [line for line in parsed if line] == [json.dumps(value(1399, 1, 100.0)).encode()]


def test_a_run_of_an_earlier_sweep_of_this_name_is_none_of_its_runs(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    write(tmp_path / "s-t005", [start(900, parent="another")])
    assert set(JournalsReader(tmp_path / "s").look(NOW).runs) == {"s-t003", "s-t004"}


def test_a_sweep_is_held_while_its_driver_has_the_lock(tmp_path: Path) -> None:
    """Asked only after two minutes without a line: a driver that starts must find the lock free."""
    from raytrain.sweeps.ownership import claim

    open_sweep(tmp_path)
    (tmp_path / "s" / "space.json").write_text("{}")
    reader = JournalsReader(tmp_path / "s")
    with claim(tmp_path / "s", resume=True):
        assert not reader.look(NOW).is_held
        assert reader.look(NOW + 600).is_held
    assert not reader.look(NOW + 600).is_held


def test_damaged_lines_and_a_damaged_space_are_named_once(tmp_path: Path) -> None:
    open_sweep(tmp_path)
    (tmp_path / "s" / "space.json").write_text("{")
    append(tmp_path / "s-t004", {"event": "epoch", "time": "noon"})
    reader = JournalsReader(tmp_path / "s")
    reader.look(NOW)
    named = [(Path(problem.file).name, problem.row) for problem in reader.look(NOW).problems]
    assert sorted(named, key=str) == [("journal.jsonl", 2), ("space.json", None)]


def test_a_run_outside_a_sweep_is_read_by_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.write("start", uid="a", kind="run")
    journals = JournalsReader(tmp_path / "run").look(NOW)
    assert not journals.is_sweep and list(journals.runs) == ["run"]
