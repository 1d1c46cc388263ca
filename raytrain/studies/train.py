"""Training what a study lacks, as a sweep whose trials are given: resumable, within budgets, and none stopped early.

<storage>/<experiment>/<study>/
  study.json      what is asked, from which recipe, and the number of each run
  space.json      as of a sweep: base and data, which a resumption must match
  journal.jsonl   start, resume, trial, end, as of a sweep
<storage>/<experiment>/<study>-t000/ ...   the runs that the study trained itself; others it takes from the storage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytrain.cluster import resources
from raytrain.cluster.connect import connect, placed
from raytrain.config import RunConfig, changes_nothing, flatten, to_values
from raytrain.data.table.test_guard import closed_while
from raytrain.errors import RefusedError, argument
from raytrain.files import room_in
from raytrain.progress import say
from raytrain.studies.given_trials import given_trials
from raytrain.studies.plan import Plan, make_plan
from raytrain.studies.record import StudyRecord
from raytrain.studies.study import Study
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.options import SweepOptions
from raytrain.sweeps.ownership import claim, identify, open_journal
from raytrain.sweeps.shutdown import stoppable, watch_head
from raytrain.sweeps.space import identity
from raytrain.sweeps.study import outcome
from raytrain.sweeps.sweep import conclude, room_for
from raytrain.sweeps.trial import TrialJob
from raytrain.sweeps.tune_trials import run_on_tune, to_the_end
from raytrain.tracking import sweep_record
from raytrain.tracking.mirror import Mirror
from raytrain.tracking.run_identity import PLACES
from raytrain.tracking.run_record import close_run, read_run
from raytrain.tracking.store import prepare_or_warn

GO_ON = "go on with the same command"


def run_study(
    study: Study,
    name: str,
    recipe: str,
    base: RunConfig,
    seeds: int,
    options: SweepOptions,
    tracking_uri: str | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    """Train the runs of a study that its storage does not have. Never opens the test split.

    Args:
        study: the question.
        name: of the study.
        recipe: as the user named it.
        base: the recipe's run; its name is that of the study's folder.
        seeds: number of them, from the recipe's own on.
        options: workers, trials at a time and budgets; the number of trials follows from the study.
        tracking_uri: MLflow store or server; None for no mirror.
        address: of the Ray cluster, which is joined or started where something is to be trained.

    Returns:
        {"folder", "counts": as `Plan.counts` before training, "trained": runs that this call trained to their end,
        "failed": runs that cannot be trained, "left": runs that a budget left out or that another process is training}

    Raises:
        RefusedError: the folder is another study's or sweep's, or another process runs this study.
        DiskFullError: the storage is full.
    """
    base = placed(base)
    folder = base.folder
    record = _record(folder, name, recipe, base, seeds)
    plan = make_plan(study, base, record.seeds)
    counts, ended = plan.counts(), {"complete": 0, "failed": 0}
    is_to_train = bool(plan.missing) or read_run(folder).is_open  # its end was not recorded: the driver was killed
    # before the test split is closed: a cluster that is started here may outlive the study
    connected = str(connect(address)["address"]) if is_to_train else ""
    was_started = (folder / sweep_record.NAME).exists()
    with closed_while("a study"), room_in(folder, "the study", GO_ON), claim(folder, resume=was_started):
        plan = make_plan(study, base, record.seeds)  # another study may have trained meanwhile
        record = record.with_runs(plan.missing)
        record.write(folder)
        if is_to_train:
            ended = _train(record, name, base, plan, options, tracking_uri, connected)
    left = counts["to_train"] + counts["training"] - ended["complete"] - ended["failed"]
    return {"folder": str(folder), "counts": counts, "trained": ended["complete"], "failed": ended["failed"],
            "left": left}  # fmt: skip


def _record(folder: Path, name: str, recipe: str, base: RunConfig, seeds: int) -> StudyRecord:
    """The study's record, with as many seeds as it had before or more.

    Raises:
        RefusedError: the folder holds another study, or the same one from another recipe.
    """
    try:
        before = StudyRecord.read(folder)
    except FileNotFoundError:
        return StudyRecord(study=name, recipe=recipe, base=to_values(base), seeds=seeds)
    if before.study != name:
        raise RefusedError(f"{folder} holds the study {before.study}; choose another {argument('name')}")
    now, then = (flatten(run) for run in (base, before.recipe_run(folder)))
    different = [key for key in now if now[key] != then.get(key) and key not in PLACES and not changes_nothing(key)]
    if different:
        raise RefusedError(
            f"{folder.name} was started from other settings ({', '.join(different)}); choose another "
            f"{argument('name')}: runs that both need are trained once"
        )
    return before.with_values(recipe=recipe, base=to_values(base), seeds=max(seeds, before.seeds))


def _nothing(trial: Any) -> None:
    """The space of a study, which draws nothing."""


def _train(
    record: StudyRecord,
    name: str,
    base: RunConfig,
    plan: Plan,
    options: SweepOptions,
    tracking_uri: str | None,
    address: str,
) -> dict[str, int]:
    """Train the missing runs on the connected cluster; how many have ended in which way."""
    folder = base.folder
    missing = {run.identity for run in plan.missing}
    numbered = {run.number: run.changes for run in record.runs}
    wanted = [run.number for run in record.runs if run.identity in missing]
    gpu, _, concurrent = resources.room(
        resources.live_nodes(), options.workers, options.use_gpu, options.resources_per_worker, options.concurrent
    )
    search: dict[str, Any] = {"seed": options.seed, "study": name}
    identify(folder, identity(_nothing, base, plan.fingerprint, search))
    if tracking_uri:
        prepare_or_warn(tracking_uri)
    options = replace(options, trials=len(record.runs), rerank_trials=0)
    slots = concurrent * options.workers
    uid = open_journal(folder, base, plan.fingerprint, search, options.as_dict() | search, slots, f"study {name}")
    mirror = Mirror(tracking_uri)
    mirror.due(folder)
    ledger = Ledger(base, folder.name, options, mirror, GO_ON)
    waiting = reconcile_runs(ledger, numbered, wanted)
    ledger.options = replace(options, trials=len(ledger.recorded) + len(waiting))
    for number in ledger.recorded:  # the driver of an earlier life may have been killed before MLflow had them
        mirror.due(ledger.run_folder(number))
    job = TrialJob(
        base,
        parent=uid,
        fingerprint=plan.fingerprint,
        workers=options.workers,
        use_gpu=gpu,
        resources_per_worker=dict(options.resources_per_worker),
        max_failures=options.max_failures,
    )
    with stoppable(ledger), watch_head(ledger, address) as head:
        if waiting:
            with room_for(ledger, job) as capacity:
                for _ in range(2):  # a trial whose process was lost before it began runs once more
                    trials = [(number, numbered[number]) for number in waiting if number not in ledger.recorded]
                    if trials:
                        search_trials = given_trials(trials, capacity)
                        run_on_tune(search_trials, to_the_end(ledger, head), ledger, job, head, len(trials))
        conclude(ledger, uid, [])
    mirror.due(folder)
    mirror.close()
    states = [ledger.recorded[number]["state"] for number in wanted if number in ledger.recorded]
    return {state: states.count(state) for state in ("complete", "failed")}


def reconcile_runs(ledger: Ledger, numbered: Mapping[int, Mapping[str, Any]], wanted: Sequence[int]) -> list[int]:
    """Record the runs that ended while no driver was there; numbers of the wanted ones that are to be trained.

    Those that were interrupted come first.
    """
    interrupted: list[int] = []
    new: list[int] = []
    for number, changes in numbered.items():
        if number in ledger.recorded:
            continue
        run = ledger.run(number)
        state = outcome(run)
        if state is not None:
            ledger.ended(number, changes, run.error or "failed" if state == "failed" else None)
        elif number in wanted:
            (interrupted if run.start else new).append(number)
            # its run has no end yet, so that the mirror does not show it as running until it goes on
            close_run(ledger.run_folder(number), "killed", "the study's driver was killed")
    if interrupted:
        say(f"{ledger.sweep}: {len(interrupted)} interrupted runs go on")
    return interrupted + new
