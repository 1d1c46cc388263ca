"""The errors of a trial in its results: as text for the journal, and as what they were where they end the sweep."""

from __future__ import annotations

import math
from typing import Any

import pytest

from raytrain.errors import DataError, DiskFullError, Interrupted, NonFiniteError, Problem, RefusedError, Stopped
from raytrain.sweeps.trial_error import TrialError


def reported(error: BaseException, monkeypatch: pytest.MonkeyPatch, done: bool = False) -> dict[str, Any]:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed")
    results: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", results.append)
    TrialError.of(error).report(epoch=0, done=done)
    return results[0]


@pytest.mark.parametrize("error", [RefusedError("a\n  b"), Interrupted("stop"), DiskFullError("full")])
def test_what_ends_the_sweep_comes_back_as_what_it_was(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = TrialError.reported_in(reported(error, monkeypatch))
    assert carried is not None
    fatal = carried.fatal()
    assert type(fatal) is type(error) and str(fatal) == str(error)


@pytest.mark.parametrize(
    "error", [NonFiniteError("nan"), DataError(Problem("f", 1, "w", "x")), Stopped("s"), KeyError("RefusedError")]
)
def test_other_errors_end_their_trial_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = TrialError.reported_in(reported(error, monkeypatch))
    assert carried is not None and carried.fatal() is None
    assert str(carried) == f"{type(error).__name__}: {error}"
    assert TrialError("os", "not a class of ours").fatal() is None


def test_a_report_has_no_values_and_ends_the_trial_only_where_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    result = reported(NonFiniteError("nan"), monkeypatch, done=True)
    assert result["done"] is True and result["epoch"] == 1
    assert all(math.isnan(result[name]) for name in ("best", "cost/index_bytes"))
    assert "done" not in reported(NonFiniteError("nan"), monkeypatch)
    assert TrialError.reported_in({"best": 1.0, "epoch": 1}) is None
    assert TrialError.reported_in(None) is None
