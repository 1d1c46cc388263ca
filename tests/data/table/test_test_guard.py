"""The guard of the test split."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from raytrain.data.table.test_guard import VARIABLE, closed_while, refuse_test
from raytrain.errors import RefusedError


@pytest.mark.parametrize("split", ["train", "val"])
def test_other_splits_are_open_even_in_training(split: str) -> None:
    with closed_while("a run"):
        refuse_test(split)


def test_test_opens_to_final_evaluation_only() -> None:
    refuse_test("test", allow_test=True)
    with pytest.raises(RefusedError, match="opens only to `raytrain evaluate --split test`"):
        refuse_test("test")


def test_in_training_test_is_closed_whoever_asks_and_opens_again_afterwards() -> None:
    with closed_while("trial 3"), pytest.raises(RefusedError, match="closed while trial 3 trains"):
        refuse_test("test", allow_test=True)
    refuse_test("test", allow_test=True)
    assert VARIABLE not in os.environ


def test_nested_guards_and_errors_restore_what_was_before() -> None:
    with closed_while("the sweep"):
        with pytest.raises(ZeroDivisionError), closed_while("trial 3"):
            raise ZeroDivisionError
        assert os.environ[VARIABLE] == "the sweep"
    assert VARIABLE not in os.environ


def test_processes_that_training_starts_find_it_closed() -> None:
    code = f"import os; print(os.environ[{VARIABLE!r}])"
    with closed_while("trial 3"):
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "trial 3"
