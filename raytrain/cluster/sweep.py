"""A sweep: Tune runs the trials, Optuna's study draws them, the journals say what happened, and any kill is survived.

<storage>/<experiment>/<sweep>/
  space.json      what is searched, from which base, on which data; a resumed sweep must match it
  study.journal   Optuna's study
  journal.jsonl   start, resume, trial, repeat, rerank, end
<storage>/<experiment>/<sweep>-t000/ ...   one run a trial
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from raytrain.cluster import resources
from raytrain.cluster.claim import claim, identify, open_journal
from raytrain.cluster.connect import connect, placed
from raytrain.cluster.follow import say
from raytrain.cluster.repeats import repeat_over_seeds
from raytrain.cluster.runs import close
from raytrain.cluster.space import Space, drawn, identity, paper_trial, walk
from raytrain.cluster.study import open_study, searcher, settle
from raytrain.cluster.trial import Ledger, driver_resources, recorder, run_trial, trial_config
from raytrain.config import RunConfig, override
from raytrain.errors import UsageError
from raytrain.tracking.mirror import Mirror

if TYPE_CHECKING:
    import optuna


def sweep(
    space: Space,
    base: RunConfig,
    *,
    name: str,
    trials: int,
    workers: int,
    concurrent: int | None = None,
    grace_epochs: int | None = None,
    reduction: int = 3,
    resume: bool = False,
    seed: int = 0,
    rerank_trials: int = 200,
    tracking_uri: str | None = None,
    use_gpu: bool | None = None,
    resources_per_worker: Mapping[str, float] | None = None,
    max_failures: int = 3,
    repeat_best: int = 0,
    repeat_seeds: int = 2,
) -> dict[str, Any]:
    """Search `space` from `base` with `trials` trainings of `workers` processes each. Never opens the test split.

    Args:
        space: module-level define-by-run function over names of RunConfig.
        base: the recipe; its own values of the searched names are trial 0. storage and experiment place the sweep.
        name: of the sweep, and the head of its runs' names.
        trials: in all, over every resumption.
        concurrent: upper bound of trials at a time; the cluster's room bounds it too.
        grace_epochs: that no early stop cuts; default a quarter of the epochs.
        reduction: one trial of so many passes each rung of ASHA.
        resume: go on with a sweep that was interrupted, or add trials to a finished one.
        seed: of the search.
        rerank_trials: settings of stage two, the re-ranking temperatures on the best run's validation similarities; 0
            leaves it out.
        tracking_uri: MLflow store or server; None for no mirror.
        repeat_best: how many of the best trials are trained again with `repeat_seeds` further seeds before one is
            chosen by its mean.

    Returns:
        {"sweep", "folder", "uid", "trials": {total, complete, pruned, failed}, "best": {run, params, val} or None,
        "gpu_seconds", "worker_seconds", "repeats", "rerank"}

    Raises:
        UsageError: no room for one trial, or names and values that do not fit together.
        RefusedError: the name is taken, in use, or was another search.
    """
    from raytrain.training.run import open_tables

    if trials < 1 or workers < 1:
        raise UsageError("a sweep has at least one trial of at least one worker")
    base = placed(override(base, {"name": name}))
    folder = base.folder
    first = paper_trial(space, base)
    for _, _, changes in walk(space):
        trial_config(base, name, 0, changes)
    fingerprint = open_tables(base)["train"].table.fingerprint
    grace = grace_epochs or max(1, math.ceil(base.optim.num_epochs / 4))
    search = {"seed": seed, "grace_epochs": grace, "reduction": reduction}
    with claim(folder, resume):
        connect()
        gpu, _, at_once = resources.room(resources.live_nodes(), workers, use_gpu, resources_per_worker, concurrent)
        identify(folder, identity(space, base, fingerprint, search))
        if tracking_uri:
            from raytrain.tracking import mlflow

            mlflow.prepare_store(tracking_uri)  # before anything fans out: a fresh store fails many openers at once
        options = {
            "trials": trials,
            "workers": workers,
            "concurrent": concurrent,
            **search,
            "rerank_trials": rerank_trials,
            "use_gpu": use_gpu,
            "resources_per_worker": dict(resources_per_worker or {}),
            "max_failures": max_failures,
            "repeat_best": repeat_best,
            "repeat_seeds": repeat_seeds,
        }
        uid = open_journal(folder, base, fingerprint, search, options, at_once * workers)
        mirror = Mirror(tracking_uri)
        mirror.due(folder)
        ledger = Ledger(base, name, trials, mirror)
        study = open_study(folder, name, seed, trials)
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(first)
        interrupted = take_stock(study, space, ledger)
        left = trials - len(ledger.recorded)
        job = {
            "base": base.model_dump(mode="json"),
            "sweep": name,
            "parent": uid,
            "workers": workers,
            "use_gpu": gpu,
            "resources_per_worker": dict(resources_per_worker or {}),
            "max_failures": max_failures,
        }
        with stoppable(ledger):
            if left > 0:
                say(f"{name}: {left} trials to go, {min(at_once, left)} at a time, {workers} workers each")
                run_trials(study, space, ledger, job, left, min(at_once, left), interrupted, search)
            repeats = repeat_over_seeds(ledger, job, repeat_best, repeat_seeds)
            result = conclude(ledger, uid, repeats, rerank_trials, seed)
        mirror.due(folder)
        mirror.close()
    return result


def run_trials(
    study: optuna.Study,
    space: Space,
    ledger: Ledger,
    job: dict[str, Any],
    samples: int,
    at_once: int,
    interrupted: list[int],
    search: Mapping[str, Any],
) -> None:
    """Let Tune run `samples` trials, interrupted ones first. Its own files are scratch, never restored from."""
    from ray import tune

    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # ours records what it stops
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    scratch = Path(tempfile.mkdtemp(prefix="raytrain-tune-"))
    try:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, job=job), driver_resources()),
            tune_config=tune.TuneConfig(
                search_alg=searcher(study, space, interrupted),
                scheduler=early_stopping(ledger, search),
                num_samples=samples,
                max_concurrent_trials=at_once,
            ),
            run_config=tune.RunConfig(
                name=ledger.sweep, storage_path=str(scratch), callbacks=[recorder(ledger)], verbose=0
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # a trial that Tune dropped without a word would otherwise be missing
    for trial in study.get_trials(deepcopy=False):
        if trial.number not in ledger.recorded and trial.number in ledger.running:
            ledger.ended(trial.number, ledger.running[trial.number], "Tune ended without a result of it")


def early_stopping(ledger: Ledger, search: Mapping[str, Any]) -> Any:
    """ASHA on the running best, told of the trials of earlier lives of the sweep; None with too few epochs."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    epochs = ledger.base.optim.num_epochs
    if search["grace_epochs"] >= epochs:
        return None

    class RunningBest(ASHAScheduler):  # type: ignore[misc]
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


def take_stock(study: optuna.Study, space: Space, ledger: Ledger) -> list[int]:
    """Make study, journals and runs agree after a driver was killed; numbers of the trials to go on with.

    The study says which trials exist, a run's journal how it ended. A trial is recorded once it has ended in either.
    """
    from optuna.trial import TrialState

    running = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]
    for number in running:
        if number in ledger.recorded:  # the kill came after the record and before the study was told
            value = ledger.recorded[number]["value"]
            study.tell(number, value, state=TrialState.COMPLETE if value is not None else TrialState.FAIL)
    runs = {number: ledger.progress(number) for number in running if number not in ledger.recorded}
    interrupted = settle(study, runs)
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


def conclude(ledger: Ledger, uid: str, repeats: list[dict[str, Any]], rerank_trials: int, seed: int) -> dict[str, Any]:
    """Choose the best run, search its re-ranking temperatures, write the sweep's end."""
    leader = ledger.leader()
    best, reranked = None, None
    if leader is not None:
        if repeats:
            chosen = max(repeats, key=lambda each: each["mean"])
            leader = ledger.recorded[chosen["number"]]
        run = ledger.progress(leader["number"])
        val = {name: value for name, value in run.best_metrics.items() if name.startswith("val/")}
        best = {"run": leader["run"], "params": leader["params"], "value": leader["value"], "val": val}
        if rerank_trials and ledger.base.evaluation.keep_similarity and ledger.base.batch_by != "query":
            from raytrain.review.rerank import rerank_run

            reranked = rerank_run(ledger.run_folder(leader["number"]), rerank_trials, seed)
            ledger.journal.write(
                "rerank",
                run=leader["run"],
                metrics={"rerank/val/rsum": reranked["after"]},
                params=reranked["params"],
            )
            ledger.mirror.due(ledger.run_folder(leader["number"]))
    cost = {
        unit: sum(ledger.progress(number).metrics.get(f"cost/{unit}", 0.0) for number in ledger.recorded)
        + sum(each["cost"][unit] for each in repeats)
        for unit in ("gpu_seconds", "worker_seconds")
    }
    counts = ledger.counts()
    status = "finished" if leader is not None else "failed"
    error = None if leader is not None else "every trial failed; each run's journal says why"
    ledger.journal.write(
        "end",
        status=status,
        error=error,
        metrics={
            **({f"best/{ledger.select}": best["value"]} if best else {}),
            **{f"cost/{k}": v for k, v in cost.items()},
        },
        best=best,
        trials=counts,
    )
    return {
        "sweep": ledger.sweep,
        "folder": str(ledger.folder),
        "uid": uid,
        "status": status,
        "trials": counts,
        "best": best,
        **cost,
        "repeats": repeats,
        "rerank": reranked,
    }


@contextlib.contextmanager
def stoppable(ledger: Ledger) -> Iterator[None]:
    """On SIGTERM (`ray job stop`) and SIGINT: record what is interrupted and leave with exit code 75.

    Leaving takes the trials' processes along, as Ray ends what a driver that is gone has started. An exception would
    not do: Tune would take it for a trial's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        for run in ledger.training():
            close(run, "interrupted", f"signal {number}")
            ledger.mirror.due(run)
        ledger.journal.write("end", status="interrupted", error=f"signal {number}", metrics={})
        ledger.mirror.due(ledger.folder)
        say(f"{ledger.sweep} interrupted; go on with --resume {ledger.sweep}")
        ledger.mirror.close(timeout_s=2.0)
        os._exit(75)

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Exception as error:
        ledger.journal.write("end", status="failed", error=f"{type(error).__name__}: {error}", metrics={})
        ledger.mirror.due(ledger.folder)
        ledger.mirror.close()
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
