from __future__ import annotations

import pickle

from raytrain.errors import DataError, Problem, did_you_mean, no_such_name


def test_a_wrong_name_gets_the_nearest_and_all_that_exist() -> None:
    assert did_you_mean("lrr", ["seed", "lr"]) == "; did you mean 'lr'?"
    assert did_you_mean("zebra", ["seed", "lr"]) == did_you_mean("x", []) == "."
    assert no_such_name("search space", "dvs", iter(["dvse", "rau"])) == (
        "no search space 'dvs'; did you mean 'dvse'? Search spaces: dvse, rau."
    )
    assert no_such_name("source", "x", []) == "no source 'x'. Sources: none."


def test_a_data_error_keeps_its_problems_on_the_way_from_a_worker() -> None:
    problem = Problem("a.csv", 3, "no image", "Add it.", more=2)
    error = pickle.loads(pickle.dumps(DataError(problem)))
    assert error.problems == [problem]
    assert str(error) == "a.csv, row 3: no image (and 2 more like it). Add it."
