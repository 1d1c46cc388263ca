"""The charts of sweeps, of settings and of re-ranking, by what their points say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from raytrain.review.board import Curve, CurvePoint
from raytrain.review.charts.plots import (
    GAP,
    front_chart,
    history,
    rerank_figure,
    setting_curve,
    temperature_curve,
    temperature_map,
)
from tests.review.made_runs import write_search

TRIED = {
    "i2t": [["off", 0.0, 100.0], ["cross", 2.0, 101.0], ["cross", 20.0, 105.0], ["additive", 8.0, 90.0]],
    "t2i": [["off", 0.0, 90.0], ["cross", 4.0, 95.0], ["mtfn", 5.0, 99.0]],
}


def titles(svg: str) -> list[str]:
    return re.findall(r"<title>(.*?)</title>", svg)


def trial(number: int, value: float | None, **more: Any) -> dict[str, Any]:
    return {"number": number, "run": f"s-t{number}", "params": {}, "state": "complete", "value": value} | more


def test_a_history_has_no_point_for_a_failed_trial() -> None:
    svg = history([trial(0, 300.0), trial(1, None, state="failed"), trial(2, 320.0, state="pruned"), trial(3, 310.0)])
    assert sorted(titles(svg)[1:]) == ["s-t0: 300.00, complete", "s-t2: 320.00, pruned", "s-t3: 310.00, complete"]
    assert history([trial(0, None)]) == ""


def test_a_sweep_over_methods_has_a_colour_and_a_title_per_method() -> None:
    kinds = ("dvse", "dive", "dvse", "own")
    svg = history([trial(n, 300.0 + n, params={"method.kind": kind}) for n, kind in enumerate(kinds)])
    assert re.findall(r'y="\d+">(DVSE|DivE|own|best so far)</text>', svg) == ["DVSE", "DivE", "own", "best so far"]


def test_trials_that_were_stopped_early_are_hollow() -> None:
    svg = history([trial(0, 300.0), trial(1, 200.0, state="pruned")])
    assert re.findall(r'<circle class="([\w ]+)"[^>]*><title>', svg) == ["s0 open", "s0"]
    assert "Value of 2 trials by number; the highest is 300.00, of s-t0" in svg


def test_the_front_is_drawn_apart_from_the_other_complete_trials() -> None:
    trials = [trial(0, 300.0, cost=100), trial(1, 290.0, cost=200), trial(2, 320.0, cost=50, state="pruned")]
    svg = front_chart(trials, "index_bytes")
    assert titles(svg) == ["s-t1: 290.00 at 200 bytes per image", "s-t0: 300.00 at 100 bytes per image"]
    assert front_chart(trials[2:], "index_bytes") == ""


def curve(setting: str, *points: tuple[Any, ...]) -> Curve:
    return Curve("dvse", setting, [CurvePoint(*point) for point in points])


def test_a_setting_over_two_decades_has_a_log_axis() -> None:
    wide = setting_curve(curve("optim.lr", (1e-4, 300.0, 1), (1e-3, 310.0, 2), (1e-2, 305.0, 1)))
    assert "optim.lr = 0.001: 310.00 (2 seeds)" in titles(wide)
    xs = [float(x) for x in re.findall(r'cx="([\d.]+)"', wide)]
    assert xs[1] - xs[0] == xs[2] - xs[1]
    near = setting_curve(curve("method.views", (1, 300.0, 1), (2, 310.0, 1), (8, 305.0, 1)))
    xs = [float(x) for x in re.findall(r'cx="([\d.]+)"', near)]
    assert xs[1] - xs[0] < xs[2] - xs[1]


def test_the_spread_over_seeds_stands_at_its_point_alone() -> None:
    svg = setting_curve(curve("method.views", (1, 300.0, 3, 2.0), (2, 310.0, 1), (8, 305.0, 1)))
    assert "method.views = 1: 300.00 ± 2.00 (3 seeds)" in titles(svg)
    assert svg.count('class="s0 spread"') == 1 and "± sd over seeds" in svg
    assert "± sd" not in setting_curve(curve("method.views", (1, 300.0, 1), (2, 310.0, 1), (8, 305.0, 1)))


def test_temperatures_of_a_run_are_those_of_its_search(tmp_path: Path) -> None:
    assert temperature_curve(tmp_path, "i2t") == temperature_map(tmp_path) == ""
    write_search(tmp_path, TRIED)
    assert titles(temperature_curve(tmp_path, "i2t")) == [
        "without re-ranking: 100.00", "additive 8: 90.00", "cross 2: 101.00", "cross 20: 105.00",
    ]  # fmt: skip
    # the best mode of each direction; MTFN has no scale
    assert titles(temperature_map(tmp_path)) == ["i2t 2, t2i 4: 196.00", "i2t 20, t2i 4: 200.00"]
    (tmp_path / "rerank.json").write_text("[")
    assert temperature_curve(tmp_path, "i2t") == ""


def test_a_map_of_many_scales_keeps_the_best_of_them(tmp_path: Path) -> None:
    tried = {side: [["cross", 1.0 + n, 100.0 - abs(n - 51)] for n in range(100)] for side in ("i2t", "t2i")}
    write_search(tmp_path, tried)
    scales = {title.partition(",")[0] for title in titles(temperature_map(tmp_path))}
    assert "i2t 52" in scales
    assert 20 < len(scales) < 35


def test_banks_of_several_sizes_are_series_of_their_own(tmp_path: Path) -> None:
    tried = {"i2t": [["cross", 2.0, 100.0, 500], ["cross", 2.0, 101.0, 1000]], "t2i": []}
    write_search(tmp_path, tried)
    assert titles(temperature_curve(tmp_path, "i2t")) == ["cross 1000 2: 101.00", "cross 500 2: 100.00"]
    assert temperature_map(tmp_path) == ""  # one direction has no search


def test_the_figure_is_one_svg_with_its_drawings_below_each_other() -> None:
    root = ElementTree.fromstring(rerank_figure(TRIED))
    svg = "{http://www.w3.org/2000/svg}svg"
    tops = [float(child.attrib["y"]) for child in root.findall(svg)]
    heights = [float(child.attrib["height"]) for child in root.findall(svg)]
    assert tops == [0, heights[0] + GAP, heights[0] + heights[1] + 2 * GAP]
    assert float(root.attrib["viewBox"].split()[-1]) == sum(heights) + 3 * GAP
    assert rerank_figure({}).count("<svg") == 1
