"""A study planned, trained and reported from Python; trials train in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="what a sweep records of its space is Optuna's")

import raytrain
from raytrain.config import RunConfig
from tests.studies.conftest import here as here


def test_a_study_is_planned_trained_and_reported_without_a_line(
    here: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, news = str(tmp_path / "small.yaml"), list[raytrain.ProgressEvent]()
    assert raytrain.study_plan("margins", recipe, seeds=1).counts["to_train"] == 2
    runs = raytrain.study("margins", recipe, seeds=1, tracking="none", progress=news.append)
    assert (runs.trained, runs.failed, runs.left, runs.study) == (2, 0, 0, "margins")
    assert any(event.event and event.event["event"] == "trial" for event in news)
    assert all(run["run"] for run in raytrain.study_plan("margins", recipe, seeds=1).runs)
    report = raytrain.study_report("margins", tmp_path / "runs")
    assert report.sentence == "Cannot be told with 1 seed." and len(report.rows) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    with pytest.raises(raytrain.UsageError, match="no study 'margin'; did you mean 'margins'"):
        raytrain.study("margin", recipe)
