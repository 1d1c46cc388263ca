"""The collection of problems: bounded lists, complete counts."""

from __future__ import annotations

import pytest

from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem


def problem(row: int) -> Problem:
    return Problem("a.csv", row, "empty caption", "Write one.")


def test_the_first_of_a_kind_are_listed_and_the_rest_counted() -> None:
    problems = Problems(keep=2)
    for row in range(5):
        problems.add("empty", problem(row))
    assert [(listed.row, listed.more) for listed in problems.list()] == [(0, 0), (1, 3)]
    assert len(problems) == problems.counts["empty"] == 5


def test_kinds_are_bounded_apart_and_listed_in_the_order_of_their_first_problem() -> None:
    problems = Problems(keep=1)
    for kind, row in (("b", 1), ("a", 2), ("b", 3)):
        problems.add(kind, problem(row))
    assert [(listed.row, listed.more) for listed in problems.list()] == [(1, 1), (2, 0)]


def test_problems_of_another_collection_stay_as_they_are() -> None:
    other = Problems(keep=3)
    for row in range(10):
        other.add("x", problem(row))
    problems = Problems(keep=1)
    problems.extend(other.list())
    problems.extend(other.list())
    assert problems.list() == other.list() * 2


def test_any_problem_raises_and_none_does_not() -> None:
    problems = Problems()
    problems.raise_if_any()
    assert not problems
    problems.add("x", problem(3))
    with pytest.raises(DataError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == [problem(3)]
