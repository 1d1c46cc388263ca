"""The Optuna study of a sweep, kept in one file of its folder, which outlives any driver."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.errors import DataError, Problem, argument
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.objectives import COSTS
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.trial_error import TrialError
from raytrain.tracking.run_record import RunRecord

if TYPE_CHECKING:
    import optuna

FILE = "study.journal"
LOCK_SUFFIX = ".lock"  # of Optuna's lock of a journal file; tests/sweeps/test_compat.py compares it with Optuna's own


def open_study(folder: Path, name: str, options: SweepOptions) -> optuna.Study:
    """The sweep's study; a new one where there is none.

    A journal file holds JSON lines: nothing in it can run code, and any file system will do. The sampler's seed is
    increased by the number of trials so far, since a resumed sweep would draw the first ones again otherwise.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.study import StudyDirection

    from raytrain.sweeps.study_file import WholeLines

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = folder / FILE
    repair_torn_line(path)
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: 2 if options.cost else 1]
    try:
        storage = JournalStorage(WholeLines(path))
        study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # Optuna checks no line of its journal
        what = f"no study of Optuna: {type(error).__name__}: {error}"
        fix = f"Start a new sweep under another name, with {argument('warm_start', folder)}."
        raise DataError(Problem(str(path), None, what, fix)) from None
    study.sampler = sampler(options, len(study.get_trials(deepcopy=False)))
    return study


def name_values(study: optuna.Study, metric: str, cost: str | None) -> None:
    """Give the study's values their names, which Optuna's dashboard and data frames show.

    Args:
        metric: that selects.
        cost: the second objective, where there is one.
    """
    import optuna

    names = [metric, *([COSTS[cost]] if cost else [])]
    if study.metric_names != names:  # setting them again would write a line per resumption
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(names)


def sampler(options: SweepOptions, drawn: int = 0) -> optuna.samplers.BaseSampler:
    """The sampler that the options name, with their seed plus `drawn`, the number of trials so far.

    TPE is grouped and multivariate, since spaces have branches and the fields in them depend on each other. A grid is
    handed out as first trials, which leave the sampler nothing to draw; random draws depend on a trial's number, so
    that their seed is not increased.
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
            constant_liar=True,  # trials that train side by side should not try the same settings
            n_startup_trials=start,
        )


def repair_torn_line(path: Path) -> None:
    """Cut off the line that a killed writer left unfinished, which Optuna cannot read past, and remove its lock."""
    # the caller holds the sweep's lock, so no living writer owns Optuna's
    lock = path.with_name(path.name + LOCK_SUFFIX)
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


OWN_FAULTS = ("NonFiniteError", "OutOfMemory", "UsageError", "DataError")
"""Errors that going on would only repeat. A refusal is none of them: the sweep ends, and is resumed with its trial."""


def outcome(run: RunRecord) -> str | None:
    """ "complete", "pruned" or "failed" of a run that ended for good; None of one that can go on.

    Workers that outlive a killed driver by a moment have nobody to report to and end their run as failed, so that only
    an error of the run's own is final.
    """
    if run.status in (None, "interrupted", "killed"):
        return None
    if run.status == "failed" and not str(run.error).startswith(OWN_FAULTS):
        return None
    # a trial without a value has failed, whatever its status
    if run.status == "failed" or run.best is None or not math.isfinite(run.best):
        return "failed"
    return "pruned" if run.status == "pruned" else "complete"


def searcher(
    study: optuna.Study,
    space: Any,
    interrupted: Sequence[int],
    capacity: Capacity,
    cost: str | None = None,
    never_began: Callable[[int], bool] = lambda number: False,
) -> Any:
    """Tune's OptunaSearch on this study, which first hands out the interrupted trials again, under their own numbers.

    Suggestions are {"number": of the trial, "changes": fields of the RunConfig}; there are none while the cluster has
    no room, and none any more once the budget is spent. The objective is "best", the best value so far, so that a trial
    that is stopped early is recorded with its best epoch; with a second objective, `cost`, that metric is added.

    Args:
        interrupted: numbers of trials in the study.
        never_began: whether a trial that failed is to be handed out again later; it stays open in the study.
    """
    from ray.tune.search import Searcher

    from raytrain.sweeps import compat

    waiting = list(interrupted)
    metrics = ["best", COSTS[cost]] if cost else ["best"]

    class StudySearch(compat.StudyLedger):
        def suggest(self, trial_id: str) -> Any:
            # Tune asks all the time, and the budget is read from the runs' journals: only where a trial could start
            if self.running() >= capacity.room():
                return None
            if capacity.spent():
                return Searcher.FINISHED
            if waiting:
                self.hand_out(trial_id, waiting.pop(0))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Tune warns of a sampler that takes its time
                changes = super().suggest(trial_id)
            return {"number": self.optuna_trial(trial_id).number, "changes": changes}

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            if cost or TrialError.reported_in(result):
                return  # Optuna takes no intermediate values with several objectives, and an error has none
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an epoch that is repeated after a restart has a value already
                self.optuna_trial(trial_id).report(result["best"], int(result["epoch"]))

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            if error and never_began(self.optuna_trial(trial_id).number):
                self.leave_open(trial_id)
                return
            objectives = [(result or {}).get(name) for name in metrics]
            if not all(value is not None and math.isfinite(value) for value in objectives):
                result, error = None, True  # Optuna would leave such a trial RUNNING for ever
            super().on_trial_complete(trial_id, result, error)

    return StudySearch(study, space, metrics if cost else "best", ["max", "min"] if cost else "max")
