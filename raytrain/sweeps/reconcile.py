"""Making the study, the sweep's journal and the runs of a sweep agree after its driver was killed.

The study says which trials exist, a run's journal how it ended. A trial is recorded once it has ended in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.objectives import values
from raytrain.sweeps.space import drawn
from raytrain.sweeps.spaces import Space
from raytrain.sweeps.study import outcome
from raytrain.tracking.run_record import RunRecord, close_run

if TYPE_CHECKING:
    import optuna


def reconcile(study: optuna.Study, space: Space, ledger: Ledger) -> list[int]:
    """Bring the study and the ledger up to date with the runs; numbers of the trials that go on, lowest first."""
    from optuna.trial import TrialState

    running = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]
    for number in running:
        if number in ledger.recorded:  # the kill came after the record and before the study was told
            failed = ledger.recorded[number]["state"] == "failed"
            _end(study, number, None if failed else values(ledger.run(number), ledger.options.cost))
    runs = {number: ledger.run(number) for number in running if number not in ledger.recorded}
    interrupted = reconcile_study(study, runs, ledger.options.cost)
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in ledger.recorded:
            error = None
            if trial.state == TrialState.FAIL:
                error = ledger.run(trial.number).error or "failed"
            ledger.ended(trial.number, drawn(space, trial.params, trial.number), error)
    for number in interrupted:
        # its run has no end yet, so that the mirror does not show it as running until it goes on
        if ledger.run_folder(number).exists():
            close_run(ledger.run_folder(number), "killed", "the sweep's driver was killed")
    return interrupted


def reconcile_study(study: optuna.Study, runs: Mapping[int, RunRecord], cost: str | None = None) -> list[int]:
    """Bring the study up to date with runs that ended while no driver was there.

    Args:
        runs: of the trials, by number.
        cost: the second objective, where there is one.

    Returns:
        Numbers of the trials that were interrupted, lowest first.
    """
    from optuna.trial import TrialState

    interrupted = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state != TrialState.RUNNING:
            continue
        run = runs.get(trial.number)
        state = outcome(run) if run else None
        if run is None or state is None:
            interrupted.append(trial.number)
        else:
            _end(study, trial.number, None if state == "failed" else values(run, cost))
    return interrupted


def _end(study: optuna.Study, number: int, objectives: list[float] | None) -> None:
    """End a trial in the study: complete with its values, or failed without any."""
    from optuna.trial import TrialState

    study.tell(number, objectives, state=TrialState.COMPLETE if objectives else TrialState.FAIL)
