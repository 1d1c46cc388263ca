"""Ray's own time-out at its start: tried again, then told."""

from __future__ import annotations

import pytest

from raytrain.cluster.patience import TRIES, patient
from raytrain.errors import RaytrainError, UsageError

TIMED_OUT = Exception("The current node timed out during startup. This could happen because some of the raylet failed")


@pytest.fixture
def shut_down(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    calls: list[str] = []
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    return calls


def starting(*outcomes: Exception | str) -> tuple[list[Exception | str], object]:
    left = list(outcomes)

    @patient
    def start(address: str | None = None) -> str:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return left, start


def test_a_start_that_times_out_is_tried_again(shut_down: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _, start = starting(TIMED_OUT, TIMED_OUT, "started")
    assert start() == "started"  # type: ignore[operator]
    assert shut_down == ["shutdown"] * 2
    assert capsys.readouterr().err.splitlines()[-1] == "Ray did not start in time; try 3 of 3"


def test_a_start_that_always_times_out_is_told_in_one_line(shut_down: list[str]) -> None:
    left, start = starting(*[TIMED_OUT] * TRIES, "never reached")
    with pytest.raises(RaytrainError, match=r"in 3 tries .*address=.auto") as error:
        start()  # type: ignore[operator]
    assert left == ["never reached"] and "\n" not in str(error.value) and len(shut_down) == TRIES


@pytest.mark.parametrize("error", [UsageError("the cluster timed out"), ValueError("a wrong argument")])
def test_other_errors_go_through_at_once(error: Exception, shut_down: list[str]) -> None:
    left, start = starting(error, "never reached")
    with pytest.raises(type(error)):
        start()  # type: ignore[operator]
    assert left == ["never reached"] and shut_down == []
