"""The Optuna study of a sweep, as one file in its folder that outlives any driver."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.objectives import COSTS, values
from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.progress import Progress

if TYPE_CHECKING:
    import optuna

FILE = "study.journal"


def open_study(folder: Path, name: str, options: SweepOptions) -> optuna.Study:
    """The sweep's study, made where there is none.

    A journal file holds JSON lines: nothing in it can run code, and any file system will do. The seed of the sampler
    is moved on by the trials there are, or a resumed sweep would draw the first ones again.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.study import StudyDirection

    from raytrain.sweeps.study_file import WholeLines

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / FILE
    repair_torn_line(path)
    storage = JournalStorage(WholeLines(path))
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: 2 if options.cost else 1]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    study.sampler = sampler(options, len(study.get_trials(deepcopy=False)))
    return study


def sampler(options: SweepOptions, drawn: int = 0) -> optuna.samplers.BaseSampler:
    """The sampler that the options name; its seed moved on by `drawn` trials, but for random draws.

    TPE is grouped and multivariate: spaces have branches, and their names depend on each other. A grid is handed out
    as first trials, so that only what is left of a space's names, which is nothing, is drawn.
    """
    import optuna

    seed, trials = options.seed + drawn, options.trials
    start = min(10, max(2, trials // 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if options.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=start)
        if options.sampler == "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, min(50, trials // 4)))
        if options.sampler in ("random", "grid"):
            from raytrain.sweeps.random_sampler import RandomByNumber

            return RandomByNumber(options.seed)
        return optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            constant_liar=True,  # trials that run side by side should not try the same thing
            n_startup_trials=start,
        )


def repair_torn_line(path: Path) -> None:
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


def reconcile_study(study: optuna.Study, ended: Mapping[int, Progress], cost: str | None = None) -> list[int]:
    """Bring the study up to date with runs that ended while nobody told it, and name the trials to go on with.

    Args:
        ended: progress of each trial's run, by trial number.
        cost: the second objective, where there is one.

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
            told = values(run, cost) if run else None
            study.tell(trial.number, told, state=TrialState.COMPLETE if told else TrialState.FAIL)
    return interrupted


OWN_FAULTS = ("NonFiniteError", "OutOfMemory", "UsageError", "DataError")
"""Errors that going on would only repeat. A refusal ends the sweep, and its trial goes on with it."""


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


def searcher(
    study: optuna.Study,
    space: Any,
    interrupted: list[int],
    capacity: Capacity,
    cost: str | None = None,
    never_began: Callable[[int], bool] = lambda number: False,
) -> Any:
    """Tune's OptunaSearch on this study, which first hands out the interrupted trials again, under their own numbers.

    Suggestions are {"number": of the trial, "changes": fields of the RunConfig}; there is none while the cluster has
    no room, and none any more once the budget is spent. The metric is "best", the running best: an early stop then
    records the trial at its best epoch. With a second objective, `cost`, that metric is told as well. A trial that
    failed and of which `never_began` is true stays open, to be handed out as an interrupted one later.
    """
    import optuna
    from ray.tune.search import Searcher
    from ray.tune.search.optuna import OptunaSearch

    waiting = list(interrupted)
    metrics = ["best", COSTS[cost]] if cost else ["best"]

    class StudySearch(OptunaSearch):  # type: ignore[misc]
        def suggest(self, trial_id: str) -> Any:
            # Tune asks all the time; what is spent is read from the runs' journals, so only where a trial could start
            if len(self._ot_trials) - len(self._completed_trials) >= capacity.room():
                return None
            if capacity.spent():
                return Searcher.FINISHED
            if waiting:
                stored = self._ot_study.get_trials(deepcopy=False)[waiting.pop(0)]
                # values it has been given are drawn again as they were; what a kill left open is drawn now
                self._ot_trials[trial_id] = optuna.Trial(self._ot_study, stored._trial_id)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a sampler that takes its time is no training in the wrong place
                changes = super().suggest(trial_id)
            return {"number": self._ot_trials[trial_id].number, "changes": changes}

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            if cost:
                return  # Optuna takes no values on the way of several objectives
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an epoch repeated after a restart is already there
                self._ot_trials[trial_id].report(result["best"], int(result["epoch"]))

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            if error and never_began(self._ot_trials[trial_id].number):
                self._completed_trials.add(trial_id)
                return
            told = [(result or {}).get(name) for name in metrics]
            if not all(value is not None and math.isfinite(value) for value in told):
                result, error = None, True  # Optuna would leave such a trial RUNNING for ever
            super().on_trial_complete(trial_id, result, error)

    return StudySearch(
        space,
        metric=metrics if cost else "best",
        mode=["max", "min"] if cost else "max",
        study_name=study.study_name,
        storage=study._storage,
        sampler=study.sampler,
    )
