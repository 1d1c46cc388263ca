"""The front of a sweep: which trials it has, and in what they differ."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raytrain.review.charts.pareto import complete_trials, differing, front, settings


def trial(number: int, value: float | None, cost: float | None, **more: Any) -> dict[str, Any]:
    return {"number": number, "value": value, "cost": cost, "state": "complete", "params": {}} | more


def numbers(trials: Any) -> list[int]:
    return [trial["number"] for trial in trials]


def test_the_front_has_the_trials_that_no_other_beats_in_both() -> None:
    trials = [trial(0, 300.0, 1), trial(1, 290.0, 2), trial(2, 310.0, 4)]
    assert numbers(front(trials)) == [0, 2]
    assert numbers(front(trials[::-1])) == [0, 2]  # cheapest first, whatever the order of the trials


def test_of_equal_trials_the_earlier_one_is_on_the_front() -> None:
    assert numbers(front([trial(5, 300.0, 1), trial(3, 300.0, 1), trial(1, 300.0, 2)])) == [3]


def test_trials_that_were_stopped_or_lack_a_number_are_no_part_of_it() -> None:
    stopped = trial(1, 320.0, 1, state="pruned")
    unknown = {"number": 4, "value": 330.0, "state": "complete", "params": {}}  # from before costs were written
    trials = [trial(0, 300.0, 2), stopped, trial(2, None, 1), trial(3, 310.0, None), unknown]
    assert numbers(complete_trials(trials)) == numbers(front(trials)) == [0]


def test_settings_are_written_by_their_last_name_where_a_trial_has_them() -> None:
    params = {"method.views": 4, "optim.lr": 0.0012345, "method.kind": "dvse"}
    assert settings(params, ["optim.lr", "method.views", "other"]) == "lr=0.00123, views=4"
    assert settings(params, []) == ""


def test_fields_in_which_trials_differ_include_those_that_some_lack() -> None:
    trials = [
        trial(0, 1.0, 1, params={"method.views": 4, "optim.lr": 0.1}),
        trial(1, 1.0, 1, params={"method.views": 8, "optim.lr": 0.1, "method.alpha": 2}),
    ]
    assert differing(trials) == ["method.views", "method.alpha"]
    assert differing([]) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["complete", "pruned"])), max_size=9))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int, int, str]]) -> None:
    trials = [trial(at, float(value), float(cost), state=state) for at, (value, cost, state) in enumerate(drawn)]
    complete = [each for each in trials if each["state"] == "complete"]

    def beats(other: dict[str, Any], beaten: dict[str, Any]) -> bool:
        differs = (other["value"], other["cost"]) != (beaten["value"], beaten["cost"])
        at_least = other["value"] >= beaten["value"] and other["cost"] <= beaten["cost"]
        return bool(at_least and (differs or other["number"] < beaten["number"]))

    kept = [each for each in complete if not any(beats(other, each) for other in complete if other is not each)]
    assert front(trials) == sorted(kept, key=lambda each: float(each["cost"]))
