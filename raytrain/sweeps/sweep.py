"""A sweep: Tune runs the trials, Optuna's study draws them, the journals record them, and any kill is survived.

<storage>/<experiment>/<sweep>/
  space.json      what is searched, from which base, on which data; a resumed sweep must match it
  study.journal   Optuna's study
  journal.jsonl   start, resume, trial, repeat, rerank, end
<storage>/<experiment>/<sweep>-t000/ ...   one run per trial
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raytrain.cluster import resources
from raytrain.cluster.connect import connect, placed
from raytrain.config import RunConfig, override
from raytrain.data.table.test_guard import closed_while
from raytrain.errors import argument
from raytrain.files import room_in
from raytrain.progress import say
from raytrain.retrieval.registry.log import log_or_warn
from raytrain.review.charts.pareto import front
from raytrain.sweeps.autoscaling import AutoscalerRequest
from raytrain.sweeps.capacity import Capacity
from raytrain.sweeps.head_monitor import HeadMonitor
from raytrain.sweeps.initial_trials import first_trials
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.ownership import claim, identify, open_journal
from raytrain.sweeps.reconcile import reconcile
from raytrain.sweeps.seed_repeats import repeat_over_seeds
from raytrain.sweeps.shutdown import stoppable, watch_head
from raytrain.sweeps.space import identity, walk
from raytrain.sweeps.spaces import Space
from raytrain.sweeps.study import name_values, open_study
from raytrain.sweeps.trial import TrialJob, trial_config
from raytrain.sweeps.tune_trials import OpenSweep, run_trials
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.store import prepare_or_warn

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
        base: the recipe; its own values of the searched fields are trial 0. Its storage and experiment say where the
            sweep is kept.
        options: number of trials and of their workers, how they are drawn, and when the sweep ends.
        name: of the sweep; the names of its runs begin with it.
        resume: go on with a sweep that was interrupted, or add trials to a finished one.
        tracking_uri: MLflow store or server; None for no mirror.

    Returns:
        {"sweep", "folder", "uid", "trials": {total, complete, pruned, failed}, "best": {run, params, val} or None,
        "front": rows of the Pareto front where a cost is kept low, "gpu_seconds", "worker_seconds", "repeats",
        "rerank", "mirrored": whether MLflow has all of it, "model": models:/NAME/VERSION of the best run, None where
        MLflow has not taken it}

    Raises:
        UsageError: no room for one trial, or names and values that do not fit together.
        RefusedError: the name is taken, another driver uses it, or it is of another search; or a trial was refused
            something, which ends the sweep.
        DiskFullError: the storage is full; `resume` goes on.
    """
    # before the test split is closed: a cluster that is started here may outlive the sweep
    address = connect()["address"]
    base = placed(override(base, {"name": name}))
    with closed_while("a sweep"), room_in(base.folder, "the sweep", f"go on with {argument('resume', name)}"):
        result = _sweep(space, base, options, address, resume, tracking_uri)
    model = None
    if tracking_uri and result["mirrored"] and result["best"]:  # its gallery holds images of all splits, test too
        model = log_or_warn(base.folder.with_name(result["best"]["run"]), tracking_uri)
    return {**result, "model": model}


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
        gpu, _, concurrent = resources.room(
            resources.live_nodes(), options.workers, options.use_gpu, options.resources_per_worker, options.concurrent
        )
        identify(folder, identity(space, base, fingerprint, search))
        if tracking_uri:
            prepare_or_warn(tracking_uri)  # before anything fans out: a fresh store fails many openers at once
        slots, space_name = concurrent * options.workers, getattr(space, "__name__", "SPACE")
        uid = open_journal(folder, base, fingerprint, search, options.as_dict() | search, slots, space_name)
        mirror = Mirror(tracking_uri)
        mirror.due(folder)
        ledger = Ledger(base, name, options, mirror)
        study = open_study(folder, name, options)
        name_values(study, base.evaluation.select, options.cost)
        for params in first[len(study.get_trials(deepcopy=False)) :]:  # all of them, unless a kill came between
            study.enqueue_trial(params)
        interrupted = reconcile(study, space, ledger)
        for number in ledger.recorded:  # the driver of an earlier life may have been killed before MLflow had them
            mirror.due(ledger.run_folder(number))
        job = TrialJob(
            base,
            parent=uid,
            fingerprint=fingerprint,
            workers=options.workers,
            use_gpu=gpu,
            resources_per_worker=dict(options.resources_per_worker),
            max_failures=options.max_failures,
        )
        with stoppable(ledger), watch_head(ledger, address) as head:
            if ledger.left() > 0:
                _run_left(study, space, ledger, job, interrupted, head)
            repeats = repeat_over_seeds(ledger, job, options.repeat_best, options.repeat_seeds, head)
            result = conclude(ledger, uid, repeats)
        mirror.due(folder)
    return {**result, "mirrored": mirror.close()}


def _run_left(
    study: optuna.Study, space: Space, ledger: Ledger, job: TrialJob, interrupted: list[int], head: HeadMonitor
) -> None:
    """Run the trials that are left, interrupted ones first, and in the end those whose process never began."""
    with room_for(ledger, job) as capacity:
        opened = OpenSweep(study, space, ledger, job, capacity, head)
        run_trials(opened, ledger.left(), interrupted)
        if never_began := sorted(ledger.handed_out_again - ledger.recorded.keys()):
            run_trials(opened, len(never_began), never_began)


@contextlib.contextmanager
def room_for(ledger: Ledger, job: TrialJob) -> Iterator[Capacity]:
    """What says when another trial may start; an autoscaling cluster is asked for room for those that are left."""
    options, left = ledger.options, ledger.left()
    request = AutoscalerRequest(job.workers, job.worker, options.concurrent)
    capacity = Capacity(
        options,
        job.use_gpu,
        ledger.gpu_seconds,
        on_change=ledger.has_room,
        on_look=lambda room: request.update(ledger.left(), len(ledger.running), room),
    )
    at_a_time = min(capacity.room(), left)
    each = f"{job.workers} workers on {'GPUs' if job.use_gpu else 'CPUs'} each"
    say(f"{ledger.sweep}: {left} trials to go, {at_a_time} at a time, {each}")
    yield capacity
    request.withdraw()


def conclude(ledger: Ledger, uid: str, repeats: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose the best run, search its re-ranking temperatures, write the sweep's end."""
    options = ledger.options
    leader = ledger.leader()
    best, reranked = None, None
    if leader is not None:
        if repeats:
            chosen = max(repeats, key=lambda row: row["mean"])
            leader = ledger.recorded[chosen["number"]]
        run = ledger.run(leader["number"])
        val = {name: value for name, value in run.best_metrics.items() if name.startswith("val/")}
        best = {"run": leader["run"], "params": leader["params"], "value": leader["value"], "val": val}
        if options.rerank_trials and ledger.base.evaluation.keep_similarity and ledger.base.batch_by != "query":
            from raytrain.run_evaluation.rerank import rerank_run

            reranked = rerank_run(ledger.run_folder(leader["number"]), options.rerank_trials, options.seed)
            ledger.journal.write(
                "rerank",
                run=leader["run"],
                metrics={"rerank/val/rsum": reranked["after"]},
                params=reranked["params"],
            )
            ledger.mirror.due(ledger.run_folder(leader["number"]))
    cost = {
        unit: sum(ledger.run(number).metrics.get(f"cost/{unit}", 0.0) for number in ledger.recorded)
        + sum(row["cost"][unit] for row in repeats)
        for unit in ("gpu_seconds", "worker_seconds")
    }
    counts = ledger.counts()
    pareto_front = [
        {name: trial[name] for name in ("run", "params", "value", "cost")}
        for trial in front([*ledger.recorded.values()])
    ]
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
        **({"front": pareto_front} if options.cost else {}),
    )
    return {
        "sweep": ledger.sweep,
        "folder": str(ledger.folder),
        "uid": uid,
        "status": status,
        "trials": counts,
        "best": best,
        "front": pareto_front,
        **cost,
        "repeats": repeats,
        "rerank": reranked,
    }
