"""The importance of each searched field of a sweep, per method that the sweep tried."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import DataError, Problem
from raytrain.tracking.sweep_record import NAME, SearchIdentity

LEAST_TRIALS = 8
TOP_SHARE = 0.25
"""Share of the trials, the best ones, whose settings are compared with those of all trials."""
_NO_DISTRIBUTION = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
FIX = "It is left out of the importances of the sweep's fields."


def read_space(sweep: str | os.PathLike[str], skipped: list[Problem] | None = None) -> dict[str, Any]:
    """{field: Optuna distribution as JSON} of a sweep's folder; {} where its space.json cannot be read.

    Args:
        skipped: where problems of the file are added, and of distributions that are none; None discards them.
    """
    skipped = [] if skipped is None else skipped
    try:
        space = SearchIdentity.read(Path(sweep)).space
    except FileNotFoundError:
        return {}
    except DataError as error:
        skipped += [Problem(problem.file, problem.row, problem.what, FIX) for problem in error.problems]
        return {}
    try:
        valid = _distributions(space)
    except ImportError:
        return space
    for name in sorted(space.keys() - valid.keys()):
        skipped.append(Problem(str(Path(sweep) / NAME), None, f"{name}: {space[name]!r:.80} is no distribution", FIX))
    return {name: value for name, value in space.items() if name in valid}


def outside(trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> list[int]:
    """Numbers of the trials whose params the space could never have drawn."""
    try:
        distributions = _distributions(space)
    except ImportError:
        return []
    return [trial["number"] for trial in trials if _frozen(trial, distributions) is None]


def _distributions(space: Mapping[str, Any]) -> dict[str, Any]:
    """{field: distribution}, without those that are none. Choices that are lists stand as their JSON."""
    from optuna.distributions import CategoricalDistribution, json_to_distribution

    distributions = {}
    for name, value in space.items():
        with contextlib.suppress(*_NO_DISTRIBUTION), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about choices that are lists
            distribution = json_to_distribution(json.dumps(value))
            if isinstance(distribution, CategoricalDistribution):
                distribution = CategoricalDistribution([_hashable(choice) for choice in distribution.choices])
            hash(distribution)  # the evaluator groups trials by it
            distributions[name] = distribution
    return distributions


def _hashable(choice: Any) -> Any:
    return json.dumps(choice) if isinstance(choice, list | dict) else choice


def _frozen(trial: Mapping[str, Any], distributions: Mapping[str, Any]) -> Any:
    """The trial as Optuna has it; None where its params lie outside the distributions."""
    import optuna

    params = {name: _hashable(value) for name, value in trial["params"].items() if name in distributions}
    within = {name: distributions[name] for name in params}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.trial.create_trial(params=params, distributions=within, value=trial.get("value") or 0.0)
    except (OverflowError, TypeError, ValueError):
        return None


def importances(trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """{method: {field: importance}}, largest first; the importances of a method sum to 1.

    PED-ANOVA (Watanabe et al., IJCAI 2023) measures how far the distribution of a field among the best quarter of the
    trials is from its distribution among all of them. Trials that were stopped early count with the value that they
    had reached. A method with fewer than 8 trials that have a value is left out; {} where Optuna is not installed.

    Args:
        trials: "trial" events of a sweep's journal.
        space: as `read_space` gives it.
    """
    try:
        import optuna
        from optuna.importance import PedAnovaImportanceEvaluator
    except ImportError:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = _distributions(space)
    by_method: dict[str, list[Any]] = {}
    for trial in trials:
        frozen = _frozen(trial, distributions) if trial.get("value") is not None else None
        if frozen is not None:
            by_method.setdefault(str(frozen.params.get("method.kind", "")), []).append(frozen)
    result = {}
    for method, tried in by_method.items():
        if len(tried) < LEAST_TRIALS:
            continue
        study = optuna.create_study(direction="maximize")
        study.add_trials(tried)
        names = sorted({name for trial in tried for name in trial.params} - {"method.kind"})
        evaluator = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
        with warnings.catch_warnings():  # about values that were tried only once
            warnings.simplefilter("ignore")
            raw = evaluator.evaluate(study, params=names)
        total = sum(raw.values())
        if total > 0:
            result[method] = {name: raw[name] / total for name in sorted(raw, key=lambda name: -raw[name])}
    return result
