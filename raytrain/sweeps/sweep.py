"""A sweep: Tune runs the trials, Optuna's study draws them, the journals say what happened, and any kill is survived.

<storage>/<experiment>/<sweep>/
  space.json      what is searched, from which base, on which data; a resumed sweep must match it
  study.journal   Optuna's study
  journal.jsonl   start, resume, trial, repeat, rerank, end
<storage>/<experiment>/<sweep>-t000/ ...   one run a trial
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from raytrain.cluster import resources
from raytrain.cluster.connect import connect, placed
from raytrain.config import RunConfig, override, to_values
from raytrain.data.table.test_guard import closed_while
from raytrain.files import room_in
from raytrain.sweeps.autoscaling import AutoscalerRequest
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.initial_trials import first_trials
from raytrain.sweeps.objectives import values
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.ownership import claim, identify, open_journal
from raytrain.sweeps.seed_repeats import repeat_over_seeds
from raytrain.sweeps.shutdown import conclude, error_from_traceback, fatal_error, stoppable, watched
from raytrain.sweeps.space import Space, drawn, identity, walk
from raytrain.sweeps.study import open_study, outcome, reconcile_study, searcher
from raytrain.sweeps.trial import Ledger, recorder, reserved, run_trial, trial_config
from raytrain.tracking.follow import say
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.progress import close

if TYPE_CHECKING:
    import optuna


def sweep(
    space: Space,
    base: RunConfig,
    options: SweepOptions,
    *,
    name: str,
    resume: bool = False,
    tracking_uri: str | None = None,
) -> dict[str, Any]:
    """Search `space` from `base`. Never opens the test split.

    Args:
        space: module-level define-by-run function over names of RunConfig.
        base: the recipe; its own values of the searched names are trial 0. storage and experiment place the sweep.
        options: how many trials, of how many workers, drawn how, and when it ends.
        name: of the sweep, and the head of its runs' names.
        resume: go on with a sweep that was interrupted, or add trials to a finished one.
        tracking_uri: MLflow store or server; None for no mirror.

    Returns:
        {"sweep", "folder", "uid", "trials": {total, complete, pruned, failed}, "best": {run, params, val} or None,
        "front": rows of the Pareto front where a cost is kept low, "gpu_seconds", "worker_seconds", "repeats",
        "rerank", "mirrored": whether MLflow has all of it}

    Raises:
        UsageError: no room for one trial, or names and values that do not fit together.
        RefusedError: the name is taken, in use, or was another search; or a trial was refused something, which ends
            the sweep.
        DiskFullError: the storage is full; `resume` goes on.
    """
    # before the test split is closed: a cluster that is started here may outlive the sweep
    address = connect()["address"]
    base = placed(override(base, {"name": name}))
    with closed_while("a sweep"), room_in(base.folder, "the sweep", f"go on with --resume {name}"):
        return _sweep(space, base, options, address, resume, tracking_uri)


def _sweep(
    space: Space, base: RunConfig, options: SweepOptions, address: str, resume: bool, tracking_uri: str | None
) -> dict[str, Any]:
    from raytrain.training.run import open_tables

    name, folder = base.name, base.folder
    for _, _, changes in walk(space):
        trial_config(base, name, 0, changes)
    first = first_trials(
        space,
        base,
        grid=options.sampler == "grid",
        each_method=options.each_method,
        warm_start=() if resume else options.warm_start,  # they are in the study, and their sweep may be gone
    )
    if options.sampler == "grid" and options.trials > len(first):
        options = replace(options, trials=len(first))
    fingerprint = open_tables(base)["train"].table.fingerprint
    search = options.search(base.optim.num_epochs)
    with claim(folder, resume):
        gpu, worker, at_once = resources.room(
            resources.live_nodes(), options.workers, options.use_gpu, options.resources_per_worker, options.concurrent
        )
        identify(folder, identity(space, base, fingerprint, search))
        if tracking_uri:
            from raytrain.tracking import mlflow

            mlflow.prepare_store(tracking_uri)  # before anything fans out: a fresh store fails many openers at once
        uid = open_journal(folder, base, fingerprint, search, options.as_dict() | search, at_once * options.workers)
        mirror = Mirror(tracking_uri)
        mirror.due(folder)
        ledger = Ledger(base, name, options, mirror)
        study = open_study(folder, name, options)
        for params in first[len(study.get_trials(deepcopy=False)) :]:  # all of them, unless a kill came between
            study.enqueue_trial(params)
        interrupted = reconcile(study, space, ledger)
        left = ledger.left()
        job = {
            "base": to_values(base),
            "sweep": name,
            "parent": uid,
            "fingerprint": fingerprint,
            "workers": options.workers,
            "use_gpu": gpu,
            "resources_per_worker": dict(options.resources_per_worker),
            "max_failures": options.max_failures,
        }
        with stoppable(ledger), watched(ledger, address) as head:
            if left > 0:
                demand = AutoscalerRequest(options.workers, worker, options.concurrent)
                capacity = Capacity(
                    options,
                    gpu,
                    ledger.gpu_seconds,
                    told=ledger.has_room,
                    looked_at=lambda room: demand.update(ledger.left(), len(ledger.running), room),
                )
                at_a_time = min(capacity.room(), left)
                say(f"{name}: {left} trials to go, {at_a_time} at a time, {options.workers} workers each")
                run_trials(study, space, ledger, job, left, interrupted, capacity, search, head)
                if again := sorted(ledger.again - ledger.recorded.keys()):
                    run_trials(study, space, ledger, job, len(again), again, capacity, search, head)
                demand.withdraw()
            repeats = repeat_over_seeds(ledger, job, options.repeat_best, options.repeat_seeds, head)
            result = conclude(ledger, uid, repeats)
        mirror.due(folder)
    return {**result, "mirrored": mirror.close()}


def run_trials(
    study: optuna.Study,
    space: Space,
    ledger: Ledger,
    job: dict[str, Any],
    samples: int,
    interrupted: list[int],
    capacity: Capacity,
    search: Mapping[str, Any],
    head: HeadMonitor,
) -> None:
    """Let Tune run `samples` trials, interrupted ones first. Its own files are scratch, never restored from.

    Raises:
        RefusedError, DiskFullError: of a trial; the others are stopped and go on when the sweep is resumed.
    """
    from ray import tune

    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # ours records what it stops
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    alone = job["workers"] == 1  # trained by Tune's own processes; otherwise Ray Train has its own failures and workers
    scratch = Path(tempfile.mkdtemp(prefix="raytrain-tune-"))
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, job=job), reserved(job)),
            tune_config=tune.TuneConfig(
                search_alg=searcher(study, space, interrupted, capacity, ledger.options.cost, ledger.never_began),
                scheduler=early_stopping(ledger, search, head),
                num_samples=samples,
                reuse_actors=alone,
            ),
            run_config=tune.RunConfig(
                name=ledger.sweep,
                storage_path=str(scratch),
                failure_config=tune.FailureConfig(max_failures=job["max_failures"] if alone else 0),
                callbacks=[recorder(ledger)],
                verbose=0,
            ),
        ).fit()
    except Exception as error:
        if (own := fatal_error(error)) is not None:  # Tune wraps what is raised within
            raise own from None
        head.settled()
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # a trial that Tune dropped without a word would otherwise be missing
    for trial in study.get_trials(deepcopy=False):
        if trial.number not in ledger.recorded and trial.number in ledger.running:
            ledger.ended(trial.number, ledger.running[trial.number], "Tune ended without a result of it")


def early_stopping(ledger: Ledger, search: Mapping[str, Any], head: HeadMonitor) -> Any:
    """ASHA on the running best, told of the trials of earlier lives of the sweep.

    No trial stops early with too few epochs, nor where a cost is kept low: a cheap one must not be stopped for being a
    little worse.
    """
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

    epochs = ledger.base.optim.num_epochs
    if search["grace_epochs"] >= epochs or ledger.options.cost:
        return ending(FIFOScheduler, ledger, head)()

    class RunningBest(ending(ASHAScheduler, ledger, head)):  # type: ignore[misc]
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> Any:
            # after its last epoch a trial ends by itself; stopping it would only record it as cut short
            if result["epoch"] >= epochs:
                return TrialScheduler.CONTINUE
            return super().on_trial_result(tune_controller, trial, result)

    scheduler = RunningBest(
        time_attr="epoch",
        metric="best",
        mode="max",
        max_t=epochs,
        grace_period=search["grace_epochs"],
        reduction_factor=search["reduction"],
    )
    for number, event in ledger.recorded.items():
        if event["state"] != "failed":
            past = SimpleNamespace(trial_id=event["run"])
            scheduler.on_trial_add(None, past)
            for epoch, best in ledger.progress(number).history:
                scheduler.on_trial_result(None, past, {"epoch": epoch, "best": best})
    return scheduler


def ending(scheduler: Any, ledger: Ledger, head: HeadMonitor) -> Any:
    """A scheduler that ends the sweep at an error which the other trials would only meet too.

    Tune asks it first, before the study and the ledger hear of the error: that trial too goes on with the sweep. A
    trial whose driver was lost with the cluster's head has not failed either: nothing goes on while the head is away.
    """

    class Ending(scheduler):  # type: ignore[misc]
        def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
            if (own := error_from_traceback(trial.error_file)) is not None:
                raise own
            if outcome(ledger.progress(trial.config["number"])) != "failed":
                head.settled()
            super().on_trial_error(tune_controller, trial)

    return Ending


def reconcile(study: optuna.Study, space: Space, ledger: Ledger) -> list[int]:
    """Make study, journals and runs agree after a driver was killed; numbers of the trials to go on with.

    The study says which trials exist, a run's journal how it ended. A trial is recorded once it has ended in either.
    """
    from optuna.trial import TrialState

    running = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]
    for number in running:
        if number in ledger.recorded:  # the kill came after the record and before the study was told
            failed = ledger.recorded[number]["state"] == "failed"
            told = None if failed else values(ledger.progress(number), ledger.options.cost)
            study.tell(number, told, state=TrialState.COMPLETE if told else TrialState.FAIL)
    runs = {number: ledger.progress(number) for number in running if number not in ledger.recorded}
    interrupted = reconcile_study(study, runs, ledger.options.cost)
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in ledger.recorded:
            error = None
            if trial.state == TrialState.FAIL:
                error = (ledger.progress(trial.number).end or {}).get("error") or "failed"
            ledger.ended(trial.number, drawn(space, trial.params, trial.number), error)
    for number in interrupted:
        # its run has no end yet, so that the mirror does not show it as running until it goes on
        if ledger.run_folder(number).exists():
            close(ledger.run_folder(number), "killed", "the sweep's driver was killed")
    return interrupted
