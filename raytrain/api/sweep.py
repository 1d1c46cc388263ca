"""`raytrain.sweep`: a search of hyper-parameters by Ray Tune and Optuna, which are imported once it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from raytrain.api.mirroring import chosen_uri, tracking_uri
from raytrain.api.outside_errors import public_call
from raytrain.api.results import SweepResult
from raytrain.api.train import Changes, changed, config_of
from raytrain.errors import UsageError, argument
from raytrain.progress import Listener

if TYPE_CHECKING:
    from raytrain.config import RunConfig
    from raytrain.review.prices import Prices
    from raytrain.sweeps.options import SweepOptions, SweepSettings
    from raytrain.sweeps.spaces import Space
    from raytrain.tracking.journal import Journal


def sweep(
    space: str | Space,
    run: str | RunConfig | None = None,
    changes: Changes | None = None,
    *,
    name: str | None = None,
    resume: str | None = None,
    address: str | None = None,
    tracking: str | None = None,
    prices: str | None = None,
    progress: Listener | None = None,
    **options: Unpack[SweepSettings],
) -> SweepResult:
    """Search a space of settings around a run. Never opens the test split.

    An interrupt (Ctrl+C, a notebook's stop) lets the trials write checkpoints and ends this process with exit code 75:
    a notebook's kernel is started again then, and `resume` goes on.

    Args:
        space: name of a search space (`raytrain spaces` lists them), a Python file that holds one, or a function that
            takes an Optuna trial and draws names of fields.
        run: name of a recipe, path of a YAML file, or a config: trial 0. None where `resume` is a folder.
        changes: of the run, as in `recipe`.
        name: of the sweep; None makes one of space, table and time.
        resume: folder of a sweep to go on with, or its name together with `run`.
        address: Ray cluster, "auto" or "host:port"; None takes RAY_ADDRESS, or starts one on this machine.
        tracking: MLflow store; None takes the storage's own where MLflow is installed, "none" leaves it out.
        prices: price table; None takes prices.yaml of the storage, where there is one.
        progress: called with a `ProgressEvent` per start, epoch and end of a trial; None is silent.
        options: trials, workers, concurrent, hours and so on: the fields of `SweepOptions`. A resumed sweep keeps what
            it was started with where nothing else is said, and the number of trials of its last resumption.

    Returns:
        the best trial, the Pareto front, counts and cost.

    Raises:
        UsageError: a name or value that does not exist, or no room for one trial in the cluster.
        RefusedError: the name is taken, another process runs this sweep, or it is of another search.
        DiskFullError: the storage is full; `resume` goes on.
    """
    with public_call(progress):
        prepared = prepare_sweep(space, run, changes, name, resume, dict(options), prices)
        return run_sweep(prepared, address, tracking)


@dataclass(frozen=True)
class PreparedSweep:
    """What a sweep searches, before anything is started.

    Args:
        space: what it draws from.
        base: the run of trial 0.
        name: of the sweep.
        options: how it is run.
        prices: per hour.
        resume: whether it goes on.
    """

    space: Space
    base: RunConfig
    name: str
    options: SweepOptions
    prices: Prices | None
    resume: bool

    @property
    def selection(self) -> str:
        """In words, where trials are not selected on validation alone; "" otherwise."""
        from raytrain.config import flatten
        from raytrain.review.marks.selection import selected_on

        return selected_on(flatten(self.base), {})


def prepare_sweep(
    space: str | Space,
    run: str | RunConfig | None,
    changes: Changes | None,
    name: str | None,
    resume: str | None,
    options: Mapping[str, Any],
    prices: str | None,
) -> PreparedSweep:
    """Look up and check what a sweep is of; the arguments are those of `sweep`."""
    from raytrain.cluster.connect import absolute_in_job, in_submitted_job
    from raytrain.review.prices import prices_of
    from raytrain.sweeps.options import SweepOptions
    from raytrain.sweeps.spaces import space_of

    space_name, draw = space_of(space) if isinstance(space, str) else (getattr(space, "__name__", "space"), space)
    base, name, journal = _base(space_name, run, changes, name, resume)
    if in_submitted_job():
        absolute_in_job("storage", base.storage)
    price_table = prices_of(base.storage, prices)  # a wrong table is reported before anything is trained
    before = _options_before(journal) if resume else {}
    chosen = SweepOptions.of({**before, **options})
    return PreparedSweep(draw, base, name, chosen, price_table, bool(resume))


def _base(
    space: str, run: str | RunConfig | None, changes: Changes | None, name: str | None, resume: str | None
) -> tuple[RunConfig, str, Journal]:
    """The run of trial 0, the sweep's name, and its journal."""
    from raytrain.config import override
    from raytrain.files import plain_name
    from raytrain.tracking.journal import Journal

    if resume and run is None:
        folder = Path(resume).expanduser().resolve()
        journal = Journal(folder)
        return changed(_recorded(journal), changes), folder.name, journal
    if run is None:
        raise UsageError(f"name the recipe of trial 0: {argument('run', 'dvse_emoji', flag='--recipe')}")
    base = config_of(run, changes)
    name = resume or name or f"{space}-{plain_name(base.data.table)}-{time.strftime('%m%d-%H%M%S')}"
    return base, name, Journal(override(base, {"name": name}).folder)


def _options_before(journal: Journal) -> dict[str, Any]:
    """The options that a sweep was started with, and the number of trials that it was last resumed with."""
    start, resumed = journal.last("start") or {}, journal.last("resume") or {}
    trials = {"trials": resumed["trials"]} if resumed.get("trials") else {}
    return {**(start.get("options") or {}), **trials}


def _recorded(journal: Journal) -> RunConfig:
    """The run of trial 0 of the sweep of a journal."""
    from raytrain.config import nested, validate

    folder = journal.path.parent
    start, run = journal.last("start"), argument("run", flag="--recipe")
    if start is None:
        raise UsageError(f"{folder} is no sweep; give the sweep's folder, or its name together with {run}")
    if not start.get("config"):
        raise UsageError(f"{folder}: the start in its journal holds no settings; give its name together with {run}")
    flat = {key: value for key, value in start["config"].items() if not key.startswith("search.")}
    flat["storage"] = str(folder.parent.parent)  # the folder may be mounted elsewhere now
    return validate(nested(flat) | {"plugins": start.get("plugins", {})})


def run_sweep(prepared: PreparedSweep, address: str | None, tracking: str | None) -> SweepResult:
    """Run a sweep, and write its cost into its journal; `address` and `tracking` are those of `sweep`."""
    from raytrain.cluster.connect import connect
    from raytrain.review.costs import record_sweep_cost
    from raytrain.sweeps.sweep import sweep as search

    connect(address)
    storage = prepared.base.storage
    result = search(
        prepared.space,
        prepared.base,
        prepared.options,
        name=prepared.name,
        resume=prepared.resume,
        tracking_uri=tracking_uri(tracking, storage),
    )
    # a tracker that is away was reported, and waited for, once
    mirror = chosen_uri(tracking, storage) if result["mirrored"] else None
    cost = record_sweep_cost(Path(result["folder"]), prepared.prices, mirror)
    return SweepResult.of({**result, "selected_on": prepared.selection, "cost": cost.as_dict()})
