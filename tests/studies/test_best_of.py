"""The best of a few variants by their means, and reports that compare with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.studies.best_of import best_variants
from raytrain.studies.report import build_report
from raytrain.studies.report_text import difference_text
from raytrain.studies.verdict import Measured
from raytrain.studies.write_report import to_markdown
from tests.studies.in_process import margins, recipe
from tests.studies.reports import made_study

GROUPED = replace(margins(), best_of={"any margin": ["margin 0.2", "margin 0.1"]}, baseline="any margin")


def of(*values: float) -> Measured:
    return Measured({}, {"rsum": dict(enumerate(values))}, {})


def test_the_best_has_the_largest_mean_of_those_with_most_seeds() -> None:
    assert best_variants(GROUPED, {"margin 0.2": of(3, 5), "margin 0.1": of(5, 4)}) == {"any margin": "margin 0.1"}
    assert best_variants(GROUPED, {"margin 0.2": of(3, 5), "margin 0.1": of(9)}) == {"any margin": "margin 0.2"}
    assert best_variants(GROUPED, {"margin 0.2": of(), "margin 0.1": of()}) == {}


def test_the_best_is_a_row_that_others_and_claims_are_compared_with(tmp_path: Path) -> None:
    report = build_report(GROUPED, made_study(tmp_path))
    rows = {row.variant.name: row for row in report.rows}
    assert [*rows] == ["margin 0.2", "margin 0.1", "any margin"]
    assert rows["any margin"].cells["rsum"].mean == rows["margin 0.2"].cells["rsum"].mean
    assert difference_text(rows["margin 0.2"].cells["rsum"]) == "+0.0 (+0.0 to +0.0)"  # it is the best itself
    assert report.outcome == "agrees" and report.scatter is not None and len(report.scatter[0]) == 4
    assert report.facts["best"] == "any margin: margin 0.2. Chosen by rsum on the queries that judge it"
    assert report.facts["budget"].endswith("nothing was tuned per variant but what the best of several is chosen from")
    assert "- Best of several: any margin: margin 0.2." in to_markdown(report)


def test_without_runs_nothing_is_the_best(tmp_path: Path) -> None:
    folder = made_study(tmp_path)
    for journal in folder.parent.glob("margin*/journal.jsonl"):
        journal.unlink()
    report = build_report(GROUPED, folder)
    assert report.rows[-1].seeds == 0 and report.outcome == "cannot be told"


def test_a_best_of_variants_that_do_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"margin 0\.3"):
        replace(GROUPED, best_of={"any margin": ["margin 0.3"]}).variants(recipe(tmp_path))
