"""Drawings as SVG: where points, ticks, bars and cells stand."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from raytrain.review.drawings import HEIGHT, LEFT, RIGHT, WIDTH, MapAxis, Point, bars, chart, rsum_map


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    """Of a drawing, which has to be well-formed XML."""
    return list(ElementTree.fromstring(svg).iter(tag))


def drawn(*points: Point, **more: bool) -> str:
    drawing = chart({"": points}, [], "x", "y", **more)
    assert drawing is not None
    return drawing.svg()


def test_no_points_make_no_chart() -> None:
    assert chart({"a": []}, [Point(0, 0)], "x", "y") is None


def test_the_least_and_the_most_stand_at_the_edges() -> None:
    first, last = elements(drawn(Point(1, 5), Point(3, 9)), "circle")
    assert float(first.attrib["cx"]) == LEFT and float(last.attrib["cx"]) == WIDTH - RIGHT
    assert float(first.attrib["cy"]) > float(last.attrib["cy"])  # up is less, in SVG


def test_one_point_is_drawn_without_a_span() -> None:
    (circle,) = elements(drawn(Point(2, 7)), "circle")
    assert float(circle.attrib["cx"]) == LEFT


def test_ticks_of_a_log_axis_are_the_values_themselves() -> None:
    svg = drawn(Point(0.0, 1), Point(4.0, 2), log_x=True)
    assert {text.text for text in elements(svg, "text")} >= {"1", "10,000"}


def test_each_series_has_its_colour_and_its_name_in_the_legend() -> None:
    drawing = chart({"a": [Point(0, 0)], "b": [Point(1, 1, "tip")]}, [Point(0, 0), Point(1, 1)], "x", "y")
    assert drawing is not None
    svg = drawing.svg()
    assert [circle.attrib["class"] for circle in elements(svg, "circle")] == ["s0", "s0", "s1", "s1"]
    assert [title.text for title in elements(svg, "title")] == [None, "tip"]
    assert len(re.findall(r'<path class="best" d="M[\d. ]+L[\d. ]+"/>', svg)) == 1


def test_names_in_a_drawing_are_escaped() -> None:
    drawing = chart({"<b>": [Point(0, 0, "<i>")]}, [], "<x>", "<y>")
    assert drawing is not None
    for svg in (drawing.svg(), bars({"<b>": 1.0})):
        assert not re.search(r"<[bixy]>", svg)


def test_a_drawing_inside_another_is_placed_below() -> None:
    drawing = chart({"": [Point(0, 0)]}, [], "x", "y")
    assert drawing is not None
    (root,) = elements(drawing.svg(222), "svg")
    assert (root.attrib["y"], root.attrib["height"]) == ("222", str(HEIGHT))
    assert "height" not in elements(drawing.svg(), "svg")[0].attrib


def test_bars_are_as_long_as_their_part_of_the_largest() -> None:
    long, short = (float(bar.attrib["width"]) for bar in elements(bars({"lr": 0.8, "margin": 0.2}), "rect"))
    assert short == pytest.approx(long / 4)
    assert "80 %" in bars({"lr": 0.8, "margin": 0.2})


def test_a_map_has_a_cell_per_pair_and_frames_the_best() -> None:
    drawing = rsum_map(MapAxis("cross", [(2.0, 100.0), (4.0, 110.0)]), MapAxis("cross", [(1.0, 90.0), (8.0, 95.0)]))
    cells = elements(drawing.svg(), "rect")
    titles = [title.text for title in elements(drawing.svg(), "title")]
    assert titles == [
        "i2t 2, t2i 1: 190.00", "i2t 2, t2i 8: 195.00", "i2t 4, t2i 1: 200.00", "i2t 4, t2i 8: 205.00",
    ]  # fmt: skip
    assert ["stroke" in cell.attrib for cell in cells] == [False, False, False, True]
    assert cells[0].attrib["fill"] == "hsl(240 65% 25%)" and cells[3].attrib["fill"] == "hsl(50 65% 70%)"
