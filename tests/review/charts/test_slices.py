"""Value by one field: its axis, the points, and means where settings came several times."""

from __future__ import annotations

import re
from typing import Any

from raytrain.review.charts.slices import MOST_FIELDS, field_axis, shown_fields, slice_chart


def trial(number: int, value: float | None, state: str = "complete", **params: Any) -> dict[str, Any]:
    return {"number": number, "run": f"t{number}", "params": params, "state": state, "value": value}


def test_fields_are_those_that_differ_the_most_important_first() -> None:
    trials = [trial(n, 1.0, a=n, b=-n, same=1) for n in range(3)] + [trial(9, None, c=1)]
    assert shown_fields(trials, {"b": 0.7, "a": 0.2}) == ["b", "a"]
    many = [trial(n, 1.0, **{f"f{i}": n for i in range(MOST_FIELDS + 2)}) for n in range(2)]
    assert len(shown_fields(many, {})) == MOST_FIELDS


def test_numbers_stand_where_they_are_and_choices_beside_each_other() -> None:
    trials = [trial(0, 1.0, lr=0.1, fn="max", on=True), trial(1, 2.0, lr=0.2, fn="mean", on=False)]
    axis, places = field_axis(trials, "lr", {})
    assert not axis.log and places == {"0.1": 0.1, "0.2": 0.2}
    axis, places = field_axis(trials, "fn", {})
    assert axis.names == {0.0: "max", 1.0: "mean"} and places == {'"max"': 0.0, '"mean"': 1.0}
    assert field_axis(trials, "on", {})[0].names == {0.0: "false", 1.0: "true"}


def test_a_field_searched_on_a_log_axis_is_drawn_on_one() -> None:
    trials = [trial(0, 1.0, lr=0.1), trial(1, 2.0, lr=0.2)]
    assert field_axis(trials, "lr", {"lr": {"attributes": {"log": True}}})[0].log
    wide = [trial(0, 1.0, lr=0.001), trial(1, 2.0, lr=0.2)]
    assert field_axis(wide, "lr", {})[0].log
    assert not field_axis(wide, "lr", {"lr": {"attributes": {"log": False}}})[0].log
    assert not field_axis([trial(0, 1.0, lr=0.0), trial(1, 2.0, lr=0.2)], "lr", {"lr": {"attributes": {"log": True}}})[
        0
    ].log


def test_a_slice_tells_complete_trials_from_those_stopped_early() -> None:
    svg = slice_chart(
        [trial(0, 1.0, k=1), trial(1, 2.0, k=2), trial(2, 0.5, "pruned", k=3), trial(3, None, k=4)], "k", {}
    )
    assert re.findall(r'<circle class="([\w ]+)"[^>]*><title>(t\d)', svg) == [
        ("s1 open", "t2"),
        ("s0", "t0"),
        ("s0", "t1"),
    ]
    assert "mean ±" not in svg
    assert slice_chart([trial(0, None, k=1)], "k", {}) == ""


def test_means_and_their_spread_stand_where_settings_came_several_times() -> None:
    svg = slice_chart([trial(0, 10.0, k=1), trial(1, 14.0, k=1), trial(2, 20.0, k=2)], "k", {})
    assert "mean ± sd of complete trials" in svg and svg.count('class="best spread"') == 1
