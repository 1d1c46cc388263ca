"""Errors: how a problem reads, and what travels between processes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import pytest

from raytrain import errors
from raytrain.errors import (
    DataError,
    Problem,
    RaytrainError,
    UsageError,
    argument,
    did_you_mean,
    naming_flags,
    no_such_name,
    printable,
)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.csv", None, "not found", "Put it there."), "a.csv: not found. Put it there."),
        (Problem("a.csv", 0, "empty caption", "Write one."), "a.csv, row 0: empty caption. Write one."),
        (Problem("a.csv", 7, "no image", "Fix it.", more=3), "a.csv, row 7: no image (and 3 more like it). Fix it."),
        (Problem("t", 1, "looks alike", "Look.", level="warning"), "warning: t, row 1: looks alike. Look."),
    ],
)
def test_a_problem_states_its_place_what_is_wrong_and_what_to_do(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_problem_as_a_dict_holds_every_field_as_json() -> None:
    problem = Problem("a.csv", 7, "no image", "Fix it.", more=3, level="warning")
    assert Problem(**json.loads(json.dumps(problem.as_dict()))) == problem


def test_a_data_error_lists_one_problem_or_many() -> None:
    one, two = Problem("a", 1, "x", "Fix."), Problem("b", None, "y", "Fix.")
    assert DataError(one).problems == [one]
    assert str(DataError([one, two])) == "a, row 1: x. Fix.\nb: y. Fix."


def test_a_data_error_keeps_its_problems_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DataError([Problem("a", 1, "x", "Fix.", more=2)])))
    assert (type(error), error.problems) == (DataError, [Problem("a", 1, "x", "Fix.", more=2)])


def test_each_error_has_the_exit_code_of_the_documentation() -> None:
    codes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RaytrainError)
    }
    assert codes == {
        "RaytrainError": 1, "UsageError": 2, "DataError": 3, "RefusedError": 4, "NonFiniteError": 1, "OutOfMemory": 1,
        "TrackingError": 1,
        "Interrupted": 75, "Stopped": 1, "DiskFullError": 75,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [errors.UsageError, errors.DataError])
def test_wrong_input_is_a_value_error_too(kind: type[Exception]) -> None:
    assert issubclass(kind, ValueError)


def test_a_wrong_name_gets_the_nearest_and_all_that_exist() -> None:
    assert did_you_mean("lrr", ["seed", "lr"]) == "; did you mean 'lr'?"
    assert did_you_mean("zebra", ["seed", "lr"]) == did_you_mean("x", []) == "."
    assert no_such_name("search space", "dvs", iter(["dvse", "rau"])) == (
        "no search space 'dvs'; did you mean 'dvse'? Search spaces: dvse, rau."
    )
    assert no_such_name("source", "x", []) == "no source 'x'. Sources: none."


def test_nothing_in_a_message_reaches_the_terminal_but_text() -> None:
    hostile = "a\x1b[31mb\rc\x9bd\u202ee\udce9f\x00"
    shown = r"a\x1b[31mb\rc\x9bd\u202ee\udce9f\x00"
    assert str(UsageError(hostile)) == shown
    assert str(Problem(hostile, None, "x\ny", "Fix it.")) == shown + r": x\ny. Fix it."
    assert str(DataError(Problem("f", 1, hostile, "Fix it."))) == f"f, row 1: {shown}. Fix it."
    assert printable("tabs\tand\nlines, é, 日本 and 👩\u200d🚀 stay") == "tabs\tand\nlines, é, 日本 and 👩\u200d🚀 stay"


@pytest.mark.parametrize(
    ("words", "in_python", "in_a_command"),
    [
        (lambda: argument("gpu_hours"), "gpu_hours", "--gpu-hours"),
        (lambda: argument("trials", 0), "trials=0", "--trials 0"),
        (lambda: argument("table", "my folder"), 'table="my folder"', "--table 'my folder'"),
        (lambda: argument("replace", True), "replace=True", "--replace"),
        (lambda: argument("run", "dvse_emoji", flag="--recipe"), 'run="dvse_emoji"', "--recipe dvse_emoji"),
    ],
)
def test_an_argument_is_named_in_words_of_the_caller(
    words: Callable[[], str], in_python: str, in_a_command: str
) -> None:
    assert words() == in_python
    with naming_flags():
        assert words() == in_a_command
    assert words() == in_python
