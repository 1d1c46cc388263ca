"""Whether an estimate of a run's memory fits its share of a GPU, and the error where it does not."""

from __future__ import annotations

import pytest

from raytrain.errors import OutOfMemory
from raytrain.training.memory import Estimate

GIB = 2**30


def test_a_margin_of_a_tenth_is_left() -> None:
    assert Estimate(100, 111).fits and not Estimate(101, 111).fits and not Estimate(1, 110, ran_out=True).fits


def test_a_run_that_fits_is_not_refused() -> None:
    Estimate(100, 111).refuse_too_much()


@pytest.mark.parametrize(("ran_out", "needed"), [(False, "takes 3.00 GiB"), (True, "takes more than 3.00 GiB")])
def test_the_error_says_what_is_needed_what_there_is_and_what_to_lower(ran_out: bool, needed: str) -> None:
    with pytest.raises(OutOfMemory, match=needed) as error:
        Estimate(3 * GIB, 2 * GIB, ran_out).refuse_too_much()
    assert "2.00 GiB of its share" in str(error.value)
    assert "Lower optim.batch_size" in str(error.value)


def test_a_journal_gets_the_three_numbers() -> None:
    assert Estimate(1, 2, True).as_dict() == {"needed_bytes": 1, "allowed_bytes": 2, "ran_out": True}
