"""Drawings as SVG: where points, ticks, bars and cells stand."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from raytrain.review.charts.drawings import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MOST_TOOLTIPS,
    RIGHT,
    WIDTH,
    Axis,
    MapAxis,
    Mark,
    Point,
    Series,
    bars,
    chart,
    nice_ticks,
    rsum_map,
)


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    """Of a drawing, which has to be well-formed XML."""
    return list(ElementTree.fromstring(svg).iter(tag))


X, Y = Axis("x"), Axis("y")


def drawn(*series: Series, x: Axis = X, y: Axis = Y, level: tuple[str, float] | None = None) -> str:
    drawing = chart(series, x, y, "what it shows", level)
    assert drawing is not None
    return drawing.svg()


def dots(*points: Point, x: Axis = X) -> list[ElementTree.Element]:
    return elements(drawn(Series("", points), x=x), "circle")


def test_no_points_make_no_chart() -> None:
    assert chart([Series("a", [])], Axis("x"), Axis("y"), "nothing") is None


def test_the_least_and_the_most_stand_at_the_edges() -> None:
    first, last = dots(Point(1, 5), Point(3, 9))
    assert float(first.attrib["cx"]) == LEFT and float(last.attrib["cx"]) == WIDTH - RIGHT
    assert float(first.attrib["cy"]) > float(last.attrib["cy"])  # up is less, in SVG


def test_one_point_stands_in_the_middle() -> None:
    (circle,) = dots(Point(2, 7))
    assert float(circle.attrib["cx"]) == (LEFT + WIDTH - RIGHT) / 2


def test_ticks_of_a_log_axis_are_the_values_themselves() -> None:
    axis = Axis("x", log=True)
    svg = drawn(Series("", [Point(1, 1), Point(10_000, 2)]), x=axis)
    assert {text.text for text in elements(svg, "text")} >= {"1", "100", "10,000", "x, log axis"}
    short = drawn(Series("", [Point(0.001, 1), Point(0.006, 2)]), x=axis)
    assert {text.text for text in elements(short, "text")} >= {"0.001", "0.002", "0.005"}
    xs = [float(circle.attrib["cx"]) for circle in dots(Point(1, 1), Point(100, 1), Point(10_000, 2), x=axis)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])


def test_ticks_are_round_numbers_and_named_ones_stand_where_they_belong() -> None:
    assert [tick for tick in nice_ticks(0.0, 1.0) if 0 <= tick <= 1] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert nice_ticks(300.0, 337.0)[:3] == [300, 310, 320]
    epochs = drawn(Series("", [Point(1, 1), Point(3, 2)]), x=Axis("epoch", whole=True))
    assert [t.text for t in elements(epochs, "text") if t.attrib["y"] == str(HEIGHT - BOTTOM + 16)] == ["1", "2", "3"]
    svg = drawn(Series("", [Point(0, 1), Point(1, 2)]), x=Axis("x", names={0.0: "mean", 1.0: "max"}))
    assert {text.text for text in elements(svg, "text")} >= {"mean", "max"}


def test_ticks_that_would_cover_each_other_are_left_out() -> None:
    names = {float(place): "a rather long name of a choice" for place in range(6)}
    svg = drawn(Series("", [Point(0, 1), Point(5, 2)]), x=Axis("x", names=names))
    assert 1 <= sum(text.text == names[0.0] for text in elements(svg, "text")) <= 2


def test_each_series_has_its_colour_and_its_name_in_the_legend_and_the_first_is_on_top() -> None:
    lines = Series("a", [Point(0, 0), Point(1, 1, "tip")], joined=True)
    svg = drawn(lines, Series("b", [Point(0, 1)]))
    assert [circle.attrib["class"] for circle in elements(svg, "circle")] == ["s1", "s0", "s0", "s1"]  # and the legend
    assert [title.text for title in elements(svg, "title")] == ["a", "tip"]
    assert len(re.findall(r'<path class="s0 line" d="M[\d. ]+L[\d. ]+">', svg)) == 1
    assert [text.text for text in elements(svg, "text")][-4:-2] == ["a", "b"]


def test_a_spread_is_a_vertical_line_within_the_chart() -> None:
    svg = drawn(Series("", [Point(0, 5, "", 4, 6), Point(1, 5)]))
    (spread,) = re.findall(r'<path class="s0 spread" d="M[\d.]+ ([\d.]+)V([\d.]+)"/>', svg)
    low, high = map(float, spread)
    assert high < low <= HEIGHT


def test_a_level_is_a_line_across_that_counts_for_the_axis() -> None:
    svg = drawn(Series("", [Point(0, 5), Point(1, 6)]), level=("without", 2.0))
    assert "<title>without</title>" in svg and "2" in {text.text for text in elements(svg, "text")}


def test_marks_say_what_happened() -> None:
    points = [Point(1, 1), Point(2, 2)]
    svg = drawn(Series("", points, marks=[Mark(1, 1, "resumed", "went on"), Mark(2, 2, "failed", "failed")]))
    assert re.findall(r'class="mark (\w+)"[^>]*><title>([\w ]+)<', svg) == [
        ("resumed", "went on"),
        ("failed", "failed"),
    ]


@pytest.mark.parametrize(("low", "high"), [(-1e308, 1e308), (0.0, 1e-320), (1e16, 1e16 + 2), (7.0, 7.0), (-1e99, 1e99)])
def test_extreme_values_draw_something_finite(low: float, high: float) -> None:
    for axis in (X, Axis("x", log=True)) if low > 0 else (X,):
        svg = drawn(Series("", [Point(low, low), Point(high, high), Point(1, 2)]), x=axis)
        assert "nan" not in svg and "inf" not in svg and len(svg) < 10_000


def test_many_points_are_one_path_of_dots() -> None:
    many = [Point(n, n, f"tip {n}") for n in range(MOST_TOOLTIPS + 1)]
    svg = drawn(Series("", many))
    assert not elements(svg, "circle") and svg.count("h0") == len(many)
    assert len(svg) < 20 * len(many)


def test_a_drawing_says_what_it_shows() -> None:
    for svg in (drawn(Series("", [Point(0, 0)])), bars({"lr": 1.0}, "what it shows")):
        (root,) = elements(svg, "svg")
        assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", "what it shows")


def test_names_in_a_drawing_are_escaped() -> None:
    svg = drawn(Series("<b>", [Point(0, 0, "<i>")]), x=Axis("<x>"), y=Axis("<y>"), level=("<b>", 0.0))
    for text in (svg, bars({"<b>": 1.0}, "<i>")):
        assert not re.search(r"<[bixy]>", text)


def test_a_drawing_inside_another_is_placed_below() -> None:
    drawing = chart([Series("", [Point(0, 0)])], Axis("x"), Axis("y"), "")
    assert drawing is not None
    (root,) = elements(drawing.svg(222), "svg")
    assert (root.attrib["y"], root.attrib["height"]) == ("222", str(HEIGHT))
    assert "height" not in elements(drawing.svg(), "svg")[0].attrib


def test_bars_are_as_long_as_their_part_of_the_largest() -> None:
    svg = bars({"lr": 0.8, "margin": 0.2}, "")
    long, short = (float(bar.attrib["width"]) for bar in elements(svg, "rect"))
    assert short == pytest.approx(long / 4)
    assert "80 %" in svg


def test_a_map_has_a_cell_per_pair_and_frames_the_best() -> None:
    drawing = rsum_map(MapAxis("cross", [(2.0, 100.0), (4.0, 110.0)]), MapAxis("cross", [(1.0, 90.0), (8.0, 95.0)]))
    cells = elements(drawing.svg(), "rect")
    titles = [title.text for title in elements(drawing.svg(), "title")]
    assert titles == [
        "i2t 2, t2i 1: 190.00", "i2t 2, t2i 8: 195.00", "i2t 4, t2i 1: 200.00", "i2t 4, t2i 8: 205.00",
    ]  # fmt: skip
    assert ["stroke" in cell.attrib for cell in cells] == [False, False, False, True]
    assert cells[0].attrib["fill"] == "hsl(240 65% 25%)" and cells[3].attrib["fill"] == "hsl(50 65% 70%)"
    assert "the highest at i2t 4, t2i 8: 205.00" in drawing.svg()
