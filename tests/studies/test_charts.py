"""The plots of a study: lines over numbers, points beside each other over names, and what a PNG needs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.studies.charts import figures, lines_of, write_png
from raytrain.studies.report import Cell, Row, StudyReport
from raytrain.studies.study import Factor, Level, Measure, Study, Variant, settings


def report(levels: dict[str, Level], second: dict[str, Level] | None = None, log: bool = False) -> StudyReport:
    factors = [Factor("K", levels, log), *([Factor("other", second)] if second else [])]
    names = [(one, two) if second else (one,) for one in levels for two in (second or {"": None})]
    rows = [
        Row(
            Variant(", ".join(labels), labels, {}, None, levels[labels[0]].number),
            2,
            {"rsum": Cell(300.0 + place, 0.5 if place else None, None, None, None, 1)},
        )
        for place, labels in enumerate(names)
    ]
    study = Study("?", "", factors, rows[0].variant.name, [Measure("rsum", "rsum")])
    return StudyReport("s", study, rows, [], None, "", None, {})


NUMBERS = settings("method.views", (1, 2, 4), "K = {}")
NAMES = settings("method.score", ("max", "mean"))


def test_numbers_are_joined_by_a_line_per_level_of_the_other_factor() -> None:
    (line,) = lines_of(report(NUMBERS), "rsum")
    assert line.joined and [point.x for point in line.points] == [1, 2, 4] and line.name == ""
    assert [point.sd for point in line.points] == [None, 0.5, 0.5]
    assert [line.name for line in lines_of(report(NUMBERS, NAMES), "rsum")] == ["max", "mean"]


def test_names_stand_beside_each_other_and_are_numbered() -> None:
    lines = lines_of(report(NAMES), "rsum")
    assert [(line.name, line.joined) for line in lines] == [("1 max", False), ("2 mean", False)]


def test_a_baseline_without_a_number_is_a_level_across_the_plot() -> None:
    lines = lines_of(report({"off": Level(), **NUMBERS}), "rsum")
    assert [line.name for line in lines] == [""] and len(lines[0].points) == 3
    (figure,) = figures(report({"off": Level(), **NUMBERS}))
    assert 'class="level"' in figure.drawing and "off" in figure.drawing


@pytest.mark.parametrize("log", [False, True])
def test_a_plot_shows_the_spread_over_seeds(log: bool) -> None:
    (figure,) = figures(report(NUMBERS, log=log))
    assert figure.drawing.count("spread") == 2 and ("log axis" in figure.drawing) == log
    assert "K = 2: 301.0 ± 0.5" in figure.drawing


def test_a_study_without_runs_has_no_plot() -> None:
    made = report(NAMES)
    rows = [replace(row, cells={"rsum": Cell(None, None, None, None, None, 1)}) for row in made.rows]
    assert figures(replace(made, rows=rows)) == []


def test_a_png_is_drawn_of_every_kind_of_factor(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PNGs are matplotlib's")
    for number, made in enumerate([report({"off": Level(), **NUMBERS}, log=True), report(NAMES)]):
        assert write_png(made, tmp_path / f"{number}.png").stat().st_size > 1000


def test_a_png_without_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r'pip install "raytrain\[studies\]"'):
        write_png(report(NAMES), tmp_path / "no.png")
