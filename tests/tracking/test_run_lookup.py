"""A run or sweep by folder or by name, and what is said where there is none, or more than one."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.tracking.run_lookup import run_named
from raytrain.tracking.sweep_record import NAME, SearchIdentity
from tests.review.made_sweeps import start, write


def test_a_folder_a_name_and_a_name_within_an_experiment(tmp_path: Path) -> None:
    write(tmp_path / "e" / "s", [start(1)])
    write(tmp_path / "f" / "s", [start(1)])
    write(tmp_path / "f" / "t", [start(1)])
    assert run_named(str(tmp_path / "e" / "s")) == tmp_path / "e" / "s"
    assert run_named("t", tmp_path) == tmp_path / "f" / "t"
    assert run_named("s", tmp_path, "f") == tmp_path / "f" / "s"
    with pytest.raises(UsageError, match="several experiments have a run 's': e, f; choose one by --experiment"):
        run_named("s", tmp_path)


def test_a_sweep_that_has_no_journal_yet(tmp_path: Path) -> None:
    (tmp_path / "e" / "s").mkdir(parents=True)
    SearchIdentity(space={}, base={}, data="d", search={}).write(tmp_path / "e" / "s")
    assert run_named(str(tmp_path / "e" / "s")) == tmp_path / "e" / "s"


def test_a_name_that_is_none_shows_the_sweeps_that_are(tmp_path: Path) -> None:
    write(tmp_path / "e" / "dvse-1", [start(1)])
    (tmp_path / "e" / "dvse-1" / NAME).touch()
    with pytest.raises(UsageError, match=r"no sweep 'dvse-2'; did you mean 'dvse-1'\? Sweeps: dvse-1\."):
        run_named("dvse-2", tmp_path)
    with pytest.raises(UsageError, match=r"no experiment 'ee'; did you mean 'e'"):
        run_named("dvse-1", tmp_path, "ee")
    with pytest.raises(UsageError, match=r"no folder of a run or sweep; did you mean 'dvse-1'\?"):
        run_named(str(tmp_path / "e" / "dvse"))
