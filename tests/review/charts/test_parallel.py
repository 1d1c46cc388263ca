"""Parallel coordinates: a line per trial, places on axes, and what the script needs to select trials."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from raytrain.review.charts.parallel import parallel_chart


def trial(number: int, value: float | None, **params: Any) -> dict[str, Any]:
    return {"number": number, "run": f"t{number}", "params": params, "state": "complete", "value": value}


TRIALS = [trial(0, 10.0, lr=0.1, fn="max"), trial(1, 20.0, lr=0.3, fn="mean"), trial(2, 15.0, lr=0.2), trial(3, None)]


def test_each_trial_with_a_value_has_its_places_on_the_axes_that_it_has() -> None:
    svg = parallel_chart(TRIALS, ["lr", "fn"], {}, "p")
    places = dict(re.findall(r'data-at="([^"]*)" data-run="(t\d)"', svg))
    assert places == {"0.000,0.000,0.000": "t0", "0.500,,0.500": "t2", "1.000,1.000,1.000": "t1"}


def test_the_best_are_in_colour_and_on_top() -> None:
    svg = parallel_chart(TRIALS, ["lr"], {}, "p")
    assert re.findall(r'<path class="(\w+)" data-at', svg) == ["rest", "rest", "top"]
    root = ElementTree.fromstring(svg)
    assert root.attrib["id"] == "p" and "the highest is t1" in root.attrib["aria-label"]


def test_few_trials_or_no_fields_make_no_chart() -> None:
    assert parallel_chart(TRIALS[:2], ["lr"], {}, "p") == parallel_chart(TRIALS, [], {}, "p") == ""


def test_500_trials_over_8_fields_stay_small() -> None:
    trials = [trial(n, float(n), **{f"f{i}": float(n * i % 97) for i in range(8)}) for n in range(500)]
    assert len(parallel_chart(trials, [f"f{i}" for i in range(8)], {}, "p")) < 150_000


def test_names_are_escaped() -> None:
    svg = parallel_chart([trial(n, n, **{"<b>": f"<i>{n}"}) | {"run": "<b>"} for n in range(3)], ["<b>"], {}, "p")
    assert "<b>" not in svg and "<i>" not in svg
