"""The report of a study: means, spreads, paired differences, and what it rests on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.plan import make_plan
from raytrain.studies.record import StudyRecord
from raytrain.studies.report import CACHE, StudyReport, build_report, measure_runs, recalls_of
from raytrain.studies.study import Measure, Reference
from tests.studies.in_process import margins
from tests.studies.reports import made_study

CALLS: list[str] = []


def length_of_name(run: MeasuredRun, add: int = 0) -> float:
    CALLS.append(run.record.folder.name)
    return len(run.record.folder.name) + add


def on_second_try(run: MeasuredRun) -> float | None:
    """As a number that one machine can measure, and another cannot."""
    CALLS.append("")
    return 8.0 if len(CALLS) > 4 else None


LENGTH = Reference(f"{__name__}:length_of_name", {"add": 1})
ON_SECOND_TRY = Reference(f"{__name__}:on_second_try")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a study of two margins, two seeds; the larger margin is better."""
    return made_study(tmp_path)


def test_a_report_has_means_spreads_and_paired_differences(folder: Path) -> None:
    report = build_report(margins(), folder)
    baseline, other = report.rows
    assert (baseline.seeds, other.seeds) == (2, 2)
    cell = other.cells["rsum"]
    values = [MeasuredRun(record).ranks for record in _plan(folder).runs_of("margin 0.1").values()]
    assert cell.mean == pytest.approx(np.mean([recalls_of(ranks)["rsum"] for ranks in values]))
    assert cell.sd is not None and cell.difference is not None and cell.interval is not None
    assert cell.interval[0] < cell.difference < cell.interval[1] < 0
    assert baseline.cells["rsum"].difference is None
    assert (report.outcome, report.decided[0].outcome) == ("agrees", "agrees")
    assert json.dumps(report.as_dict())


def _plan(folder: Path):  # type: ignore[no-untyped-def]
    record = StudyRecord.read(folder)
    return make_plan(margins(), record.recipe_run(folder), record.seeds)


def test_a_report_says_what_it_rests_on(folder: Path) -> None:
    facts = build_report(margins(), folder).facts
    assert facts["runs"] == "4 of 4; 2 of 2 variants have all 2 seeds"
    assert facts["seeds"] == "0, 1" and facts["commit"] == "c0ffee123456+"
    assert facts["data"] == _plan(folder).fingerprint[:12]
    assert facts["budget"].startswith("1 epoch, batches of 12; 30 worker seconds per run, 120 in all")


def test_a_study_without_all_of_its_runs_says_so(folder: Path, tmp_path: Path) -> None:
    (folder.parent / "margin 0.1-1" / "journal.jsonl").unlink()
    report = build_report(margins(), folder)
    assert report.facts["runs"] == "3 of 4; 1 of 2 variants have all 2 seeds"
    assert report.outcome == "cannot be told" and report.sentence == "Cannot be told with 1 seed."


def test_a_number_that_needs_a_model_is_computed_once_per_run(folder: Path) -> None:
    study = replace(margins(), measures=[*margins().measures, Measure("length", "length", LENGTH)])
    CALLS.clear()
    for _ in range(2):
        report = build_report(study, folder)
    assert sorted(CALLS) == ["margin 0.1-0", "margin 0.1-1", "margin 0.2-0", "margin 0.2-1"]
    assert report.rows[0].cells["length"].mean == 13
    assert len(json.loads((folder / CACHE).read_text())) == 4


def test_what_could_not_be_measured_is_tried_again(folder: Path) -> None:
    study = replace(margins(), measures=[*margins().measures, Measure("memory", "memory", ON_SECOND_TRY)])
    CALLS.clear()
    assert build_report(study, folder).rows[0].cells["memory"].mean is None
    assert build_report(study, folder).rows[0].cells["memory"].mean == 8


@pytest.mark.parametrize("damage", ["{", "[1]", '{"a": 1}', '{"a": {"b": "text"}}', "\xff"])
def test_damaged_measures_are_measured_again(damage: str, folder: Path) -> None:
    study = replace(margins(), measures=[*margins().measures, Measure("length", "length", LENGTH)])
    (folder / CACHE).write_text(damage, encoding="latin-1")
    with pytest.warns(RuntimeWarning, match=r"measures\.json cannot be read; its values are measured again"):
        report = build_report(study, folder)
    assert report.rows[0].cells["length"].mean == 13
    assert len(json.loads((folder / CACHE).read_text())) == 4


def test_recalls_are_those_of_the_runs_own_validation(folder: Path) -> None:
    (record,) = [run.run for run in _plan(folder).runs if run.run and run.run.folder.name == "margin 0.2-0"]
    recalls = recalls_of(MeasuredRun(record).ranks)
    assert recalls["rsum"] == pytest.approx(record.best_metrics["val/rsum"])
    assert recalls["i2t/recall_at_5"] == pytest.approx(record.best_metrics["val/i2t/recall_at_5"])
    composed = recalls_of({"query": np.array([0, 9, -1, 60]), "reference": np.zeros(4)})
    assert composed["recall_at_1"] == pytest.approx(100 / 3)
    assert composed["rsum"] == pytest.approx(100 / 3 + 2 * 200 / 3)


def test_the_points_of_a_scatter_are_the_runs(folder: Path) -> None:
    measured = measure_runs(margins(), _plan(folder), folder / CACHE)
    assert {name: len(of.values["rsum"]) for name, of in measured.items()} == {"margin 0.2": 2, "margin 0.1": 2}
    report: StudyReport = build_report(margins(), folder)
    assert report.scatter is not None and len(report.scatter[0]) == 4
    assert report.scatter[0][0][2] == "margin 0.2, seed 0"
