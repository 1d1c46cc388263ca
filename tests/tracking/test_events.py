"""The events of a journal: what each kind must hold, and what a version may add."""

from __future__ import annotations

from typing import Any

import pytest

from raytrain.tracking.events import EVENTS, why_no_event

MINIMAL: dict[str, dict[str, Any]] = {
    "epoch": {"epoch": 1},
    "evaluation": {"split": "val"},
    "report": {"file": "report.html"},
    "room": {"slots": 4},
    "trial": {"number": 0, "run": "t0", "state": "complete", "params": {}},
    "end": {"status": "finished"},
}


@pytest.mark.parametrize("kind", EVENTS)
def test_a_line_may_lack_what_earlier_versions_lacked_and_have_what_later_ones_add(kind: str) -> None:
    line = {"event": kind, "time": 0, **MINIMAL.get(kind, {})}
    assert why_no_event(line) is None
    assert why_no_event({**line, "of_a_later_version": [{"a": 1}]}) is None
    for needed in ("time", *MINIMAL.get(kind, {})):
        without = {name: value for name, value in line.items() if name != needed}
        assert why_no_event(without) == f"{kind}: field {needed}: Field required"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "now"), ("time", float("nan")), ("time", -1), ("time", 1e12), ("time", True), ("epoch", 1.5),
        ("epoch", True), ("epoch", -1), ("epoch", 2**31), ("step", [3]), ("metrics", {"val/rsum": "high"}),
        ("metrics", {"val/rsum": float("inf")}), ("metrics", {"val/rsum": 10**400}), ("metrics", [1]),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_beyond_its_bounds_is_named(field: str, value: Any) -> None:
    why = why_no_event({"event": "epoch", "time": 1.0, "epoch": 1, "step": 3, "metrics": {}, field: value})
    assert why is not None and f"epoch: field {field}" in why


@pytest.mark.parametrize(
    "config", [{"method.views": "two"}, {"method.kind": []}, {"a.b": {"c": 1}}, [], {"seed": None}]
)
def test_settings_are_flat_and_those_that_reviews_read_have_their_type(config: Any) -> None:
    why = why_no_event({"event": "start", "time": 1.0, "config": config})
    assert (why is None) == (config == {"seed": None})


@pytest.mark.parametrize("value", [None, [], "start", 7, {}, {"event": "epcoh", "time": 1}, {"event": ["epoch"]}])
def test_what_is_no_event_is_told_in_words(value: Any) -> None:
    why = why_no_event(value)
    assert why is not None and ("unknown event" in why or "not an object" in why)
