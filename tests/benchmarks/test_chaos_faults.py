"""When the faults of the benchmark of killed sweeps strike; no cluster."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from benchmarks.chaos_faults import FAULTS, LATE, parse_faults, plan


def test_faults_strike_one_after_the_other_while_trials_are_left() -> None:
    strikes = parse_faults(",".join(FAULTS) + ",worker+node")
    for seed in range(20):
        moments = plan(strikes, 40, seed)
        assert sorted(moment.faults for moment in moments) == sorted(strikes)
        after = [moment.after_trials for moment in moments]
        assert after == sorted(after)
        assert after[-len(LATE) - 1] <= 34
        assert [moment.faults[0] for moment in moments[-len(LATE) :]] == list(LATE)
        assert after[-1] == 40
    assert plan(strikes, 40, 0) == plan(strikes, 40, 0) != plan(strikes, 40, 1)


def test_several_faults_strike_at_once() -> None:
    assert parse_faults("worker,node+driver") == [("worker",), ("node", "driver")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fire", "no fault fire; faults: worker"),
        ("worker+mirror", "worker\\+mirror: only different ones"),
        ("start+node", "only different ones"),
        ("node+node", "only different ones"),
    ],
)
def test_faults_that_cannot_strike_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_faults(text)
