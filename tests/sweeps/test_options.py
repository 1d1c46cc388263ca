"""Options of a sweep: which make none, and which decide its trials."""

from __future__ import annotations

import dataclasses
from typing import Any, ForwardRef

import pytest

from raytrain.errors import UsageError
from raytrain.sweeps.options import SweepOptions, SweepSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sampler": "best"}, "no sampler 'best'"),
        ({"cost": "money"}, "no cost 'money'"),
        ({"cost": "index_bytes", "repeat_best": 2}, "leave one out"),
        ({"trials": 0}, "trials is at least 1; given: 0"),
        ({"concurrent": -1}, "concurrent is at least 1; given: -1"),
        ({"repeat_best": -1}, "repeat_best is at least 0; given: -1"),
        ({"hours": 0.0}, "above 0"),
        ({"reduction": 1}, "at least 2"),
    ],
)
def test_options_that_make_no_sweep_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SweepOptions(**wrong)


def test_what_decides_the_trials_reads_as_in_older_sweeps() -> None:
    assert SweepOptions(trials=9).search(10) == {"seed": 0, "grace_epochs": 3, "reduction": 3}
    more = SweepOptions(sampler="gp", cost="gpu_seconds", each_method=2, warm_start=("a",), grace_epochs=1).search(10)
    assert {name: more[name] for name in ("sampler", "cost", "each_method", "warm_start", "grace_epochs")} == {
        "sampler": "gp", "cost": "gpu_seconds", "each_method": 2, "warm_start": ["a"], "grace_epochs": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("epochs", "expected"), [(1, 1), (4, 1), (5, 2), (30, 8)])
def test_the_grace_is_a_quarter_of_the_epochs_rounded_up_unless_it_is_given(epochs: int, expected: int) -> None:
    assert SweepOptions().grace(epochs) == expected
    assert SweepOptions(grace_epochs=7).grace(epochs) == 7


def test_keyword_arguments_of_a_sweep_are_its_options() -> None:
    hints = {field.name: field.type for field in dataclasses.fields(SweepOptions)}
    assert {name: ForwardRef(str(text)) for name, text in hints.items()} == {
        name: ForwardRef(hint.__forward_arg__) for name, hint in SweepSettings.__annotations__.items()
    }
    assert SweepOptions.of({"trials": 3}) == SweepOptions(trials=3)
    with pytest.raises(UsageError, match="no sweep option 'trails'; did you mean 'trials'"):
        SweepOptions.of({"trails": 3})


def test_one_folder_to_start_from_is_given_alone() -> None:
    assert SweepOptions.of({"warm_start": "runs/e/s"}) == SweepOptions.of({"warm_start": ["runs/e/s"]})
    assert SweepOptions.of({}).warm_start == ()
