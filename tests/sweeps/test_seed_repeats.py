"""The best trials again with other seeds, where training on Ray is a stand-in that writes a journal."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.config import RunConfig
from raytrain.errors import RaytrainError, RefusedError
from raytrain.sweeps import seed_repeats
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.seed_repeats import repeat_over_seeds
from raytrain.sweeps.trial import TrialJob
from raytrain.tracking.run_record import RunRecord, read_run
from tests.sweeps.small_sweep import write_run

NOWHERE = HeadMonitor("127.0.0.1:1", lambda: None)


@pytest.fixture
def done(ledger: Ledger) -> Ledger:
    """Trials 0 to 3 with 5, 9, 7 and 8 rsum; the last one was stopped early."""
    for number, (value, status) in enumerate(
        [(5.0, "finished"), (9.0, "finished"), (7.0, "finished"), (8.0, "pruned")]
    ):
        write_run(ledger.run_folder(number), [value], status)
        ledger.ended(number, {})
    return ledger


def test_the_best_complete_trials_are_repeated_with_the_next_seeds(
    done: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def train(config: RunConfig, **more: Any) -> RunRecord:
        assert done.training() == [config.folder]  # a sweep that is stopped asks it for a checkpoint
        trained.append((config.name, config.seed))
        write_run(config.folder, [float(config.seed)], "finished")
        return read_run(config.folder)

    monkeypatch.setattr(seed_repeats, "train_on_ray", train)
    job = TrialJob(done.base, "u", "f")
    rows = repeat_over_seeds(done, job, best=2, seeds=2, head=NOWHERE)
    assert trained == [("s-t001-s1", 1), ("s-t001-s2", 2), ("s-t002-s1", 1), ("s-t002-s2", 2)]
    assert [row["values"] for row in rows] == [[9.0, 1.0, 2.0], [7.0, 1.0, 2.0]]
    assert rows[0]["mean"] == 4.0 and rows[0]["std"] == pytest.approx(4.3589, abs=1e-4)
    assert rows[0]["cost"]["worker_seconds"] == 2
    assert [e["run"] for e in done.journal.read() if e["event"] == "repeat"] == ["s-t001", "s-t002"]
    trained.clear()
    assert repeat_over_seeds(done, job, best=2, seeds=2, head=NOWHERE) == rows  # the next life repeats none
    assert trained == [] and done.training() == []


def test_a_repetition_that_fails_is_left_out_and_one_that_is_refused_ends_the_sweep(
    done: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(config: RunConfig, **more: Any) -> RunRecord:
        write_run(config.folder, [], "failed", "NonFiniteError: step 1")
        raise RaytrainError("NonFiniteError: step 1")

    monkeypatch.setattr(seed_repeats, "train_on_ray", fails)
    (row,) = repeat_over_seeds(done, TrialJob(done.base, "u", "f"), best=1, seeds=1, head=NOWHERE)
    assert (row["values"], row["std"]) == ([9.0], None)

    def refused(config: RunConfig, **more: Any) -> RunRecord:
        raise RefusedError("closed")

    monkeypatch.setattr(seed_repeats, "train_on_ray", refused)
    with pytest.raises(RefusedError):
        repeat_over_seeds(done, TrialJob(done.base, "u", "f"), best=1, seeds=2, head=NOWHERE)
