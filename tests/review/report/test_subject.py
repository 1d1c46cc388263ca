"""What a report is about: found by folder or name, with the journals that belong to it and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.review.report.subject import read_subject
from tests.review.made_reports import made_sweep
from tests.review.made_sweeps import end, start, write


@pytest.mark.parametrize("by_name", [False, True])
def test_a_subject_is_found_by_folder_and_by_name(experiment: Path, by_name: bool) -> None:
    for name, kind in (("made", "experiment"), ("search", "sweep"), ("dvse-s0", "run"), ("search-t001", "run")):
        folder = experiment if name == "made" else experiment / name
        subject = read_subject(name if by_name else str(folder), experiment.parent)
        assert (subject.kind, subject.folder, subject.name) == (kind, folder, name)
        assert subject.storage == experiment.parent


def test_a_sweep_has_its_runs_and_no_others(experiment: Path) -> None:
    subject = read_subject("search", experiment.parent)
    assert subject.sweeps == [experiment / "search"]
    assert [run.name for run in subject.runs] == [f"search-t{number:03d}" for number in range(12)]


def test_runs_of_an_earlier_sweep_of_this_name_do_not_count(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=2)
    write(folder.parent / "search-t007", [start(0, parent="earlier", uid="x"), end(5, "finished")])
    assert [run.name for run in read_subject(str(folder)).runs] == ["search-t000", "search-t001"]


def test_a_run_of_a_sweep_brings_the_sweeps_journal_and_does_not_show_it(experiment: Path) -> None:
    subject = read_subject("search-t001", experiment.parent)
    assert list(subject.journals) == [experiment / "search-t001", experiment / "search"]
    assert subject.sweeps == [] and subject.runs == [experiment / "search-t001"]


def test_an_experiment_has_all(experiment: Path) -> None:
    subject = read_subject("made", experiment.parent)
    assert len(subject.runs) == 16 and subject.sweeps == [experiment / "search"]


def test_a_name_that_is_not_there_is_answered_with_those_that_are(experiment: Path) -> None:
    with pytest.raises(UsageError, match=r"no run, sweep or experiment 'serch'; did you mean 'search'\?"):
        read_subject("serch", experiment.parent)
    with pytest.raises(UsageError, match="is no folder of a run or sweep"):
        read_subject(str(experiment / "nowhere"), experiment.parent)
    with pytest.raises(UsageError, match="storage names the folder that holds experiments"):
        read_subject("search", experiment.parent / "nowhere")


def test_a_sweep_that_has_written_no_line_is_one(tmp_path: Path) -> None:
    folder = made_sweep(tmp_path, trials=1)
    (folder / "journal.jsonl").write_text("not a line\n")
    subject = read_subject(str(folder))
    assert subject.kind == "sweep" and len(subject.skipped) == 1
