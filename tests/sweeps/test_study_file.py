"""The study's file on a disk that is full."""

from __future__ import annotations

from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.sweeps.study import FILE, open_study
from tests.faults.test_disk_full import files_up_to
from tests.sweeps.small_sweep import SIX, rate

RUNNING, COMPLETE = (getattr(optuna.trial.TrialState, name) for name in ("RUNNING", "COMPLETE"))


def test_half_a_line_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    rate(study.ask())
    whole = (tmp_path / FILE).read_bytes()
    with files_up_to(len(whole) + 20), pytest.raises(OSError, match="File too large"):
        study.tell(0, 1.0)
    assert (tmp_path / FILE).read_bytes() == whole
    study.tell(0, 1.0)
    rate(study.ask())
    again = open_study(tmp_path, "s", SIX)
    assert [trial.state for trial in again.get_trials()] == [COMPLETE, RUNNING]
