"""The importance of each searched field of a sweep, per method that the sweep tried."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.errors import DataError
from raytrain.tracking.sweep_record import SearchIdentity

LEAST_TRIALS = 8
TOP_SHARE = 0.25
"""Share of the trials, the best ones, whose settings are compared with those of all trials."""


def read_space(sweep: str | os.PathLike[str]) -> dict[str, Any]:
    """{field: Optuna distribution as JSON} of a sweep's folder; {} where its space.json cannot be read."""
    try:
        return SearchIdentity.read(Path(sweep)).space
    except (FileNotFoundError, DataError):
        return {}


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
        from optuna.distributions import json_to_distribution
        from optuna.importance import PedAnovaImportanceEvaluator
    except ImportError:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: json_to_distribution(json.dumps(value)) for name, value in space.items()}
    by_method: dict[str, list[Any]] = {}
    for trial in trials:
        params = {name: value for name, value in trial["params"].items() if name in distributions}
        if trial.get("value") is not None:
            frozen = optuna.trial.create_trial(
                params=params, distributions={name: distributions[name] for name in params}, value=trial["value"]
            )
            by_method.setdefault(str(params.get("method.kind", "")), []).append(frozen)
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
