"""One trial of a sweep: its config, and what runs in the process that Tune starts for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytrain.cluster.compat import HEAD_NODE
from raytrain.cluster.resources import per_worker
from raytrain.config import RunConfig, override
from raytrain.errors import Interrupted, RefusedError
from raytrain.sweeps.objectives import COSTS
from raytrain.sweeps.space import refuse_to_judge_anew
from raytrain.sweeps.trial_error import TrialError


@dataclass(frozen=True)
class TrialJob:
    """What all trials of a sweep have in common. Ray pickles it and sends it to the processes that train them.

    Args:
        base: the recipe; its name is that of the sweep.
        parent: uid of the sweep.
        fingerprint: of the sweep's table, which every node must have.
        workers: processes of each trial.
        use_gpu: whether each worker takes a GPU.
        resources_per_worker: beyond one CPU (and one GPU).
        max_failures: lost processes or worker groups after which a trial has failed.
    """

    base: RunConfig
    parent: str
    fingerprint: str
    workers: int = 1
    use_gpu: bool = False
    resources_per_worker: Mapping[str, float] = field(default_factory=dict)
    max_failures: int = 3

    @property
    def single_worker(self) -> bool:
        """Whether Tune's own process trains the trial; otherwise it starts a worker group of Ray Train and waits."""
        return self.workers == 1

    @property
    def worker(self) -> dict[str, float]:
        """Resources of one worker."""
        return per_worker(self.use_gpu, self.resources_per_worker)

    def config(self, number: int, changes: Mapping[str, Any]) -> RunConfig:
        """The run of a trial."""
        return trial_config(self.base, self.base.name, number, changes)


def trial_name(sweep: str, number: int) -> str:
    """ "<sweep>-t003", the name of a trial's run; its folder lies beside the sweep's."""
    return f"{sweep}-t{number:03d}"


def trial_config(base: RunConfig, sweep: str, number: int, changes: Mapping[str, Any]) -> RunConfig:
    """The run of a trial.

    Raises:
        RefusedError: the changes are of what a trial is judged by.
    """
    refuse_to_judge_anew(changes)
    return override(base, {**changes, "name": trial_name(sweep, number)})


def run_trial(config: dict[str, Any], job: TrialJob) -> None:
    """What Tune runs for a trial: its training, or with several workers the driver of a Ray Train run.

    At module level, so that Ray can send it.

    Args:
        config: {"number": ..., "changes": ...} as the search drew it.
        job: what all trials have in common.

    Raises:
        RefusedError, Interrupted: after they were reported; they end the sweep.
        RaytrainError: others of a trial with several workers; one that trains here ends with a report of them.
    """
    try:
        run = job.config(config["number"], config["changes"])
        if job.single_worker:
            from raytrain.sweeps.single_worker import run_single_worker

            run_single_worker(run, job.worker, job.parent, job.fingerprint)
        else:
            _run_on_ray_train(run, job)
    except (RefusedError, Interrupted) as error:  # they end the sweep, once Tune has tried the trial again in vain
        TrialError.of(error).report(epoch=0, done=False)
        raise


def _run_on_ray_train(run: RunConfig, job: TrialJob) -> None:
    from ray import tune
    from ray.tune.integration.ray_train import TuneReportCallback

    from raytrain.cluster.ray_train import train_on_ray

    record = train_on_ray(
        run,
        workers=job.workers,
        use_gpu=job.use_gpu,
        resources_per_worker=job.resources_per_worker,
        max_failures=job.max_failures,
        parent=job.parent,
        fingerprint=job.fingerprint,
        callbacks=[TuneReportCallback()],
        follow=False,
    )
    # a trial that was resumed after its last epoch has reported nothing yet
    if record.best is not None:
        costs = {name: value for name, value in record.metrics.items() if name in COSTS.values()}
        tune.report({"best": record.best, "epoch": record.epochs, **costs})


def reserved(job: TrialJob) -> Any:
    """What Tune reserves for a trial: the resources of its one worker, on any node; of several workers nothing.

    With several, Tune's process only waits for those that Ray Train starts: it takes no CPU worth counting, and a
    fraction of the head's marker, since a process that is pinned to a node which dies would wait for ever.
    """
    from ray import tune

    return tune.PlacementGroupFactory([job.worker if job.single_worker else {"CPU": 0, HEAD_NODE: 0.0001}])
