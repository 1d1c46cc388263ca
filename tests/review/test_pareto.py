"""The front of a sweep: which trials it has, against brute force, and what the page shows of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from raytrain.review.leaderboard import read_board
from raytrain.review.page import to_html
from raytrain.review.pareto import front, front_chart, front_table, settings
from raytrain.review.plots import read_sweeps
from raytrain.tracking.journal import Journal

TRIALS = [
    {"number": at, "run": f"s-t{at:03d}", "params": {"method.views": views, "optim.lr": 0.001}, "state": state,
     "value": value, "cost": 256.0 * views}
    for at, (views, value, state) in enumerate(
        [(1, 300.0, "complete"), (2, 290.0, "complete"), (4, 310.0, "complete"), (8, 320.0, "pruned")]
    )
]  # fmt: skip


def test_the_page_of_a_sweep_against_a_cost_has_its_front(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "e" / "s")
    journal.write("start", uid="u", kind="sweep", options={"cost": "index_bytes"})
    for trial in TRIALS:
        journal.write("trial", **trial)
    assert [one["run"] for one in front(TRIALS)] == ["s-t000", "s-t002"]
    page = to_html(read_board(tmp_path), read_sweeps(tmp_path))
    assert "Sweep e/s: value against bytes an image" in page
    assert '<td class="left">s-t002</td><td class="left">views=4</td><td>1,024</td><td>310.0</td>' in page
    assert "s-t001: 290.00 at 512 bytes an image" in page  # a point that is not of the front
    assert "s-t003" not in front_chart(TRIALS, "index_bytes")
    assert front_table(TRIALS[3:], "index_bytes") == ""
    assert settings(TRIALS[0]["params"], ["optim.lr", "method.views", "other"]) == "lr=0.001, views=1"  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["complete", "pruned"])), max_size=9))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int, int, str]]) -> None:
    trials = [
        {"number": at, "value": float(value), "cost": float(cost), "state": state}
        for at, (value, cost, state) in enumerate(drawn)
    ]
    whole = [one for one in trials if one["state"] == "complete"]
    kept = []
    for one in whole:
        beaten = any(
            other["value"] >= one["value"]  # type: ignore[operator]
            and other["cost"] <= one["cost"]  # type: ignore[operator]
            and ((other["value"], other["cost"]) != (one["value"], one["cost"]) or other["number"] < one["number"])  # type: ignore[operator]
            for other in whole
            if other is not one
        )
        kept += [] if beaten else [one]
    assert front(trials) == sorted(kept, key=lambda one: one["cost"])  # type: ignore[arg-type, return-value]


def test_a_trial_without_a_value_or_a_cost_is_no_part_of_a_front() -> None:
    whole = {"number": 0, "state": "complete", "value": 1.0, "cost": 2.0}
    lacking = {"number": 3, "state": "complete", "value": 9.0}
    assert front([{**whole, "value": None}, {**whole, "cost": None}, lacking]) == []
