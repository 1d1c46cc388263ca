"""The Optuna study of a sweep, as one file in its folder that outlives any driver."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.cluster.runs import Progress

if TYPE_CHECKING:
    import optuna

FILE = "study.journal"


def open_study(folder: Path, name: str, seed: int, trials: int) -> optuna.Study:
    """The sweep's study, made where there is none.

    A journal file holds JSON lines: nothing in it can run code, and any file system will do.

    Args:
        seed: of the sampler; moved on by the trials there are, or a resumed sweep would draw the first ones again.
        trials: that the sweep will have, from which the length of the random start follows.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / FILE
    mend(path)
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    study.sampler = sampler(seed + len(study.get_trials(deepcopy=False)), trials)
    return study


def sampler(seed: int, trials: int) -> optuna.samplers.TPESampler:
    """Grouped multivariate TPE: spaces have branches, and their names depend on each other."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            constant_liar=True,  # trials that run side by side should not try the same thing
            n_startup_trials=min(10, max(2, trials // 3)),
        )


def mend(path: Path) -> None:
    """Cut off the line that a killed writer left unfinished; Optuna cannot read past one. Drop the dead one's lock."""
    # the caller holds the sweep's lock, so no living writer owns Optuna's
    lock = path.with_name(path.name + ".lock")
    if lock.is_symlink():
        lock.unlink()
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with open(path, "r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())


def settle(study: optuna.Study, ended: Mapping[int, Progress]) -> list[int]:
    """Bring the study up to date with runs that ended while nobody told it, and name the trials to go on with.

    Args:
        ended: progress of each trial's run, by trial number.

    Returns:
        Numbers of trials that were interrupted, lowest first.
    """
    from optuna.trial import TrialState

    interrupted = []
    for trial in study.get_trials(deepcopy=False):
        if trial.state != TrialState.RUNNING:
            continue
        run = ended.get(trial.number)
        state = outcome(run) if run else None
        if state is None:
            interrupted.append(trial.number)
        elif state == "failed":
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            assert run is not None and run.best is not None
            study.tell(trial.number, run.best)
    return interrupted


OWN_FAULTS = ("NonFiniteError", "UsageError", "DataError", "RefusedError")
"""Errors that going on would only repeat."""


def outcome(run: Progress) -> str | None:
    """ "complete", "pruned" or "failed" of a run that ended for good; None of one to go on with.

    Workers that outlive a killed driver by a moment end their run as failed, for want of anybody to report to: only an
    error of the run's own is final.
    """
    if run.status in (None, "interrupted", "killed"):
        return None
    if run.status == "failed" and not str((run.end or {}).get("error")).startswith(OWN_FAULTS):
        return None
    # a trial that never reported a number has failed, whatever it says
    if run.status == "failed" or run.best is None or not math.isfinite(run.best):
        return "failed"
    return "pruned" if run.status == "pruned" else "complete"


def searcher(study: optuna.Study, space: Any, interrupted: list[int]) -> Any:
    """Tune's OptunaSearch on this study, which first hands out the interrupted trials again, under their own numbers.

    Suggestions are {"number": of the trial, "changes": fields of the RunConfig}. The metric is "best", the running
    best: an early stop then records the trial at its best epoch.
    """
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    waiting = list(interrupted)

    class StudySearch(OptunaSearch):  # type: ignore[misc]
        def suggest(self, trial_id: str) -> dict[str, Any] | None:
            if waiting:
                stored = self._ot_study.get_trials(deepcopy=False)[waiting.pop(0)]
                # values it has been given are drawn again as they were; what a kill left open is drawn now
                self._ot_trials[trial_id] = optuna.Trial(self._ot_study, stored._trial_id)
            changes = super().suggest(trial_id)
            return {"number": self._ot_trials[trial_id].number, "changes": changes}

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an epoch repeated after a restart is already there
                self._ot_trials[trial_id].report(result["best"], int(result["epoch"]))

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            if not result or result.get("best") is None or not math.isfinite(result["best"]):
                result, error = None, True  # Optuna would leave such a trial RUNNING for ever
            super().on_trial_complete(trial_id, result, error)

    return StudySearch(
        space,
        metric="best",
        mode="max",
        study_name=study.study_name,
        storage=study._storage,
        sampler=study.sampler,
    )
