"""What a study trains: its variants over seeds, without the runs that the storage has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig, flatten, override
from raytrain.data.table import Table
from raytrain.scoring.feed import features_read
from raytrain.studies.study import Study, Variant
from raytrain.sweeps.space import refuse_to_judge_anew
from raytrain.tracking.run_identity import RecordedRuns, recorded_runs, run_identity
from raytrain.tracking.run_record import RunRecord


@dataclass(frozen=True)
class PlannedRun:
    """A run that a study needs.

    Args:
        changes: of the recipe, seed included.
        identity: as `run_identity`; variants that come to the same settings share a run.
        uses: (name of the variant, seed) of those that need it.
        run: the finished run that is it; None where there is none yet.
        training: folder of a run that is it and is being trained by another process.
    """

    changes: Mapping[str, Any]
    identity: str
    uses: tuple[tuple[str, int], ...]
    run: RunRecord | None = None
    training: Path | None = None


@dataclass(frozen=True)
class Plan:
    """The runs of a study, each once.

    Args:
        variants: of the study.
        seeds: as runs have them.
        fingerprint: of the table.
        runs: in the order of the seeds, and of the variants within a seed: all variants get their first seed first.
    """

    variants: Sequence[Variant]
    seeds: Sequence[int]
    fingerprint: str
    runs: Sequence[PlannedRun]

    @property
    def missing(self) -> list[PlannedRun]:
        """Runs that nobody has trained and nobody is training."""
        return [run for run in self.runs if run.run is None and run.training is None]

    def runs_of(self, variant: str) -> dict[int, RunRecord]:
        """{seed: run} of the finished runs of a variant."""
        return {
            seed: planned.run
            for planned in self.runs
            for name, seed in planned.uses
            if name == variant and planned.run is not None
        }

    def counts(self) -> dict[str, int]:
        """{"variants", "seeds", "runs", "recorded", "training", "to_train"}"""
        return {
            "variants": len(self.variants),
            "seeds": len(self.seeds),
            "runs": len(self.runs),
            "recorded": sum(run.run is not None for run in self.runs),
            "training": sum(run.run is None and run.training is not None for run in self.runs),
            "to_train": len(self.missing),
        }


def make_plan(study: Study, base: RunConfig, seeds: int, recorded: RecordedRuns | None = None) -> Plan:
    """The runs of a study from a recipe, with those that its storage has.

    Args:
        base: the recipe; the first seed is its own.
        seeds: number of them, consecutive ones.
        recorded: runs of the storage; None reads them.

    Raises:
        UsageError: a variant does not fit the recipe.
        RefusedError: a variant changes what runs are judged by.
    """
    table = Table(base.data.table)
    recorded = recorded_runs(base.storage) if recorded is None else recorded
    variants, numbers = study.variants(base), range(base.seed, base.seed + seeds)
    uses: dict[str, list[tuple[str, int]]] = {}
    changes: dict[str, dict[str, Any]] = {}
    configs: dict[str, RunConfig] = {}
    for seed in numbers:
        for variant in variants:
            refuse_to_judge_anew(variant.changes)
            of_run = {**variant.changes, "seed": seed}
            config = override(base, of_run)
            identity = run_identity(flatten(config), table.fingerprint)
            uses.setdefault(identity, []).append((variant.name, seed))
            changes.setdefault(identity, of_run)
            configs.setdefault(identity, config)
    runs = []
    for identity, config in configs.items():
        features = table.feature_hashes(features_read(config))
        training = recorded.training(identity, features)
        if training is not None and is_own(base, training.folder):
            training = None  # what a killed driver of this study left behind, which ends by itself
        runs.append(
            PlannedRun(
                changes[identity],
                identity,
                tuple(uses[identity]),
                recorded.finished(identity, features),
                training.folder if training else None,
            )
        )
    return Plan(variants, list(numbers), table.fingerprint, runs)


def is_own(base: RunConfig, folder: Path) -> bool:
    """Whether a run's folder is named as those are that the study in the recipe's folder trains."""
    return bool(base.name) and folder.parent == base.folder.parent and folder.name.startswith(f"{base.name}-t")
