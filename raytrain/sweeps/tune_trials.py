"""Letting Ray Tune run the trials of a sweep: with early stops, and an end at errors that every trial would meet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from raytrain.errors import Interrupted, RefusedError
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.ledger import Ledger, recorder
from raytrain.sweeps.spaces import Space
from raytrain.sweeps.study import outcome, searcher
from raytrain.sweeps.trial import TrialJob, reserved, run_trial, trial_name
from raytrain.sweeps.trial_error import TrialError

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class OpenSweep:
    """A sweep whose trials can run.

    Args:
        study: draws their settings.
        space: what it draws from.
        ledger: records them.
        job: what they have in common.
        capacity: says when another one may start.
        head: says whether the cluster's head is there.
    """

    study: optuna.Study
    space: Space
    ledger: Ledger
    job: TrialJob
    capacity: Capacity
    head: HeadMonitor


def run_trials(sweep: OpenSweep, samples: int, interrupted: Sequence[int]) -> None:
    """Let Tune run `samples` trials as the study draws them, interrupted ones first, with early stops.

    Args:
        interrupted: numbers of trials in the study that go on.

    Raises:
        RefusedError, Interrupted: of a trial; the other trials are stopped and go on when the sweep is resumed.
    """
    ledger = sweep.ledger
    search = searcher(sweep.study, sweep.space, interrupted, sweep.capacity, ledger.options.cost, ledger.never_began)
    run_on_tune(search, early_stopping(ledger, sweep.head), ledger, sweep.job, sweep.head, samples)


def run_on_tune(search: Any, scheduler: Any, ledger: Ledger, job: TrialJob, head: HeadMonitor, samples: int) -> None:
    """Let Tune run the trials that a searcher suggests. Its own files are scratch, never restored from.

    Args:
        search: a searcher of Tune's that suggests {"number": of the trial, "changes": of the recipe}.
        scheduler: of Tune's, such as `early_stopping` or `to_the_end`.
        samples: the most trials.

    Raises:
        RefusedError, Interrupted: as of `run_trials`.
    """
    from ray import tune

    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # our own handler records what it stops
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    scratch = Path(tempfile.mkdtemp(prefix="raytrain-tune-"))
    # trials of several workers have the restarts of Ray Train, and processes of their own
    max_failures = job.max_failures if job.single_worker else 0
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, job=job), reserved(job)),
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=scheduler,
                num_samples=samples,
                reuse_actors=job.single_worker,
                trial_name_creator=shown_name(ledger.sweep),
            ),
            run_config=tune.RunConfig(
                name=ledger.sweep,
                storage_path=str(scratch),
                failure_config=tune.FailureConfig(max_failures=max_failures),
                callbacks=[recorder(ledger)],
                verbose=0,
            ),
        ).fit()
    except Exception as error:
        if (fatal := fatal_error(error)) is not None:  # Tune wraps what a scheduler raises
            raise fatal from None
        head.settled()
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # a trial that Tune dropped without a word would be missing otherwise
    for number, changes in [*ledger.running.items()]:
        if number not in ledger.recorded:
            ledger.ended(number, changes, "Tune ended without a result of it")


def shown_name(sweep: str) -> Callable[[Any], str]:
    """Names Tune's trials as their runs are named, "<sweep>-t003", where Ray shows or logs them."""
    return lambda trial: trial_name(sweep, trial.config["number"])


def early_stopping(ledger: Ledger, head: HeadMonitor) -> Any:
    """ASHA on the best value so far, which knows the trials of earlier lives of the sweep.

    No trial stops early where there are no more epochs than the grace, nor where a cost is kept low: a cheap trial must
    not be stopped for being a little worse.
    """
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    epochs = ledger.base.optim.num_epochs
    grace = ledger.options.grace(epochs)
    if grace >= epochs or ledger.options.cost:
        return to_the_end(ledger, head)

    class RunningBest(stops_at_fatal_error(ASHAScheduler, ledger, head)):  # type: ignore[misc]
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> Any:
            # after its last epoch a trial ends by itself; stopping it would record it as stopped early
            if result["epoch"] >= epochs or TrialError.reported_in(result):
                return TrialScheduler.CONTINUE
            return super().on_trial_result(tune_controller, trial, result)

    scheduler = RunningBest(
        time_attr="epoch",
        metric="best",
        mode="max",
        max_t=epochs,
        grace_period=grace,
        reduction_factor=ledger.options.reduction,
    )
    for number, event in ledger.recorded.items():
        if event["state"] != "failed":
            past = SimpleNamespace(trial_id=event["run"])
            scheduler.on_trial_add(None, past)
            for epoch, best in ledger.run(number).history:
                scheduler.on_trial_result(None, past, {"epoch": epoch, "best": best})
    return scheduler


def to_the_end(ledger: Ledger, head: HeadMonitor) -> Any:
    """A scheduler that stops no trial early."""
    from ray.tune.schedulers import FIFOScheduler

    return stops_at_fatal_error(FIFOScheduler, ledger, head)()


def stops_at_fatal_error(scheduler: Any, ledger: Ledger, head: HeadMonitor) -> Any:
    """A scheduler class that ends the sweep at an error which the other trials would only meet too.

    Tune asks the scheduler before the study and the ledger hear of the error, so that this trial too goes on with the
    sweep. A trial whose driver was lost with the cluster's head has not failed either: nothing is recorded until the
    head answers.

    Args:
        scheduler: the class of Tune's that decides otherwise.
    """

    class StopsAtFatalError(scheduler):  # type: ignore[misc]
        def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
            error = TrialError.reported_in(trial.last_result)
            if error is not None and (fatal := error.fatal()) is not None:
                raise fatal
            if outcome(ledger.run(trial.config["number"])) != "failed":
                head.settled()
            super().on_trial_error(tune_controller, trial)

    return StopsAtFatalError


def fatal_error(error: BaseException | None) -> RefusedError | Interrupted | None:
    """The refusal, or the interruption such as a full disk, behind an error that Tune raises; None of any other."""
    while error is not None:
        cause = getattr(error, "cause", None)  # what Ray's wrapper holds
        error = cause if isinstance(cause, BaseException) else error
        if isinstance(error, (RefusedError, Interrupted)):
            return error
        error = error.__cause__ or error.__context__
    return None
