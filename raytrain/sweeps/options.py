"""How a sweep is run: every option of the command line but the space, the recipe and the name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypedDict, get_args

from raytrain.errors import UsageError, argument, no_such_name
from raytrain.sweeps.objectives import COSTS

Sampler = Literal["tpe", "gp", "nsga2", "random", "grid"]
LEAST = {
    "trials": 1,
    "workers": 1,
    "concurrent": 1,
    "each_method": 0,
    "grace_epochs": 1,
    "reduction": 2,
    "rerank_trials": 0,
    "max_failures": 0,
    "repeat_best": 0,
    "repeat_seeds": 1,
}
"""The least value of each option that is a number of something."""


@dataclass(frozen=True)
class SweepOptions:
    """Options of `sweep`.

    Args:
        trials: in all, over every resumption.
        workers: processes of each trial.
        concurrent: most trials at a time, and what an autoscaling cluster is asked to make room for; the cluster's
            room bounds it too, as nodes come and go.
        hours: no trial starts after this call has run for this long.
        gpu_hours: no trial starts after the sweep, over every resumption, has spent this many.
        seed: of the search.
        sampler: grouped multivariate TPE, a Gaussian process, NSGA-II, random draws, or every point of a grid.
        cost: a cost to keep low beside the selection metric: index_bytes, gpu_seconds or worker_seconds. No trial is
            stopped early then, and the Pareto front of the trials is the result.
        each_method: number of first trials of each method, in a space that draws `method.kind`.
        warm_start: folders of earlier sweeps, whose best settings are tried right after the recipe.
        grace_epochs: epochs before a trial may be stopped early; default a quarter of the epochs.
        reduction: ASHA keeps the best 1/reduction of the trials at each rung.
        rerank_trials: settings tried in stage two, which searches re-ranking temperatures on the best run's validation
            similarities; 0 leaves it out.
        use_gpu: None uses GPUs where a node of the cluster has one.
        resources_per_worker: beyond one CPU (and one GPU); {"GPU": 0.25} puts four workers on a GPU.
        max_failures: worker groups lost before a trial fails.
        repeat_best: number of best trials that are trained again with `repeat_seeds` further seeds, before one of them
            is chosen by its mean.
        repeat_seeds: see `repeat_best`.

    Raises:
        UsageError: numbers or names that make no sweep.
    """

    trials: int = 24
    workers: int = 1
    concurrent: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    seed: int = 0
    sampler: Sampler = "tpe"
    cost: str | None = None
    each_method: int = 0
    warm_start: tuple[str, ...] = ()
    grace_epochs: int | None = None
    reduction: int = 3
    rerank_trials: int = 200
    use_gpu: bool | None = None
    resources_per_worker: Mapping[str, float] = field(default_factory=dict)
    max_failures: int = 3
    repeat_best: int = 0
    repeat_seeds: int = 2

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SweepOptions:
        """Options by their names; a name that does not exist is an error, and one folder may stand for a list."""
        for name in values:
            if name not in SweepSettings.__annotations__:
                raise UsageError(no_such_name("sweep option", name, SweepSettings.__annotations__))
        folders = values.get("warm_start", ())
        return cls(**{**values, "warm_start": (folders,) if isinstance(folders, str) else tuple(folders)})

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{argument(name)} is at least {least}; given: {value}")
        if self.sampler not in get_args(Sampler):
            raise UsageError(f"no sampler '{self.sampler}'. Samplers: {', '.join(get_args(Sampler))}.")
        if self.cost is not None and self.cost not in COSTS:
            raise UsageError(f"no cost '{self.cost}'. Costs: {', '.join(COSTS)}.")
        if self.cost is not None and self.repeat_best:
            both = f"{argument('repeat_best')} chooses one trial, {argument('cost')} a front of them"
            raise UsageError(f"{both}: leave one out")
        if any(budget is not None and budget <= 0 for budget in (self.hours, self.gpu_hours)):
            raise UsageError(f"{argument('hours')} and {argument('gpu_hours')} are above 0")

    def grace(self, num_epochs: int) -> int:
        """Epochs before a trial of `num_epochs` may be stopped early: `grace_epochs`, or a quarter, rounded up."""
        return self.grace_epochs or max(1, -(-num_epochs // 4))

    def search(self, num_epochs: int) -> dict[str, Any]:
        """The settings that decide which trials there are and when they stop; a resumed sweep must have the same ones.

        Options that were added later are listed only where they are used, so that older sweeps can still be resumed.
        """
        settings: dict[str, Any] = {
            "seed": self.seed,
            "grace_epochs": self.grace(num_epochs),
            "reduction": self.reduction,
        }
        if self.sampler != "tpe":
            settings["sampler"] = self.sampler
        for name in ("cost", "each_method"):
            if getattr(self, name):
                settings[name] = getattr(self, name)
        if self.warm_start:
            settings["warm_start"] = list(self.warm_start)
        return settings

    def as_dict(self) -> dict[str, Any]:
        """For a journal."""
        return asdict(self) | {"warm_start": list(self.warm_start)}


class SweepSettings(TypedDict, total=False):
    """The fields of SweepOptions, as keyword arguments of `raytrain.sweep`."""

    trials: int
    workers: int
    concurrent: int | None
    hours: float | None
    gpu_hours: float | None
    seed: int
    sampler: Sampler
    cost: str | None
    each_method: int
    warm_start: tuple[str, ...]
    grace_epochs: int | None
    reduction: int
    rerank_trials: int
    use_gpu: bool | None
    resources_per_worker: Mapping[str, float]
    max_failures: int
    repeat_best: int
    repeat_seeds: int
