"""study.json numbers runs once and for all, and finds a study in its storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.config import RunConfig, override, to_values
from raytrain.errors import DataError, UsageError
from raytrain.studies.plan import make_plan
from raytrain.studies.record import NAME, StudyRecord, study_folders, study_name
from tests.studies.in_process import margins, recipe


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return override(recipe(tmp_path), {"name": "study"})


def test_a_number_is_kept_while_runs_are_added(base: RunConfig) -> None:
    record = StudyRecord(study="margins", recipe="small", base=to_values(base), seeds=1)
    first = record.with_runs(make_plan(margins(), base, 1).missing)
    assert [(run.number, run.changes) for run in first.runs] == [
        (0, {"method.margin": 0.2, "seed": 0}), (1, {"method.margin": 0.1, "seed": 0}),
    ]  # fmt: skip
    base.folder.mkdir(parents=True)
    first.write(base.folder)
    again = StudyRecord.read(base.folder).with_runs(make_plan(margins(), base, 2).missing)
    assert again.runs[:2] == first.runs
    assert [run.number for run in again.runs] == [0, 1, 2, 3]


def test_a_study_is_found_by_its_name_and_by_its_folder(base: RunConfig, tmp_path: Path) -> None:
    base.folder.mkdir(parents=True)
    StudyRecord(study="margins", recipe="small", base=to_values(base), seeds=1).write(base.folder)
    storage = base.folder.parent.parent
    assert study_folders(storage, "margins") == study_folders(storage, "study") == [base.folder]
    with pytest.raises(UsageError, match=r"no study 'margin'; did you mean 'margins'\? Studies: margins"):
        study_folders(storage, "margin")
    moved = storage.rename(tmp_path / "moved")
    (folder,) = study_folders(moved, "margins")
    assert StudyRecord.read(folder).recipe_run(folder).folder == folder


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"study": 3}')
    with pytest.raises(DataError, match=r"study\.json"):
        StudyRecord.read(tmp_path)


def test_a_study_is_named_after_its_question_and_recipe() -> None:
    assert study_name("dvse/views", "dvse_emoji") == "study-dvse-views-dvse_emoji"
    assert study_name("dvse/views", "recipes/my own.yaml") == "study-dvse-views-my-own"
