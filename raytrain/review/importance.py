"""What each searched field of a sweep was worth, for each method that the sweep tried."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from raytrain.errors import DataError
from raytrain.review.tables import METHOD_NAMES
from raytrain.tracking.sweep_record import SearchIdentity

LEAST_TRIALS = 8
TOP_SHARE = 0.25  # of the trials, whose settings are compared with all of them


def read_space(sweep: str | os.PathLike[str]) -> dict[str, Any]:
    """{field: Optuna distribution as JSON} of a sweep's folder; {} where it has no readable space.json."""
    try:
        return SearchIdentity.read(Path(sweep)).space
    except (FileNotFoundError, DataError):
        return {}


def importances(trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """{method: {field: importance}}, largest first; the importances of a method sum to 1.

    PED-ANOVA (Watanabe et al., IJCAI 2023) asks how far the best quarter of the trials draws a field from elsewhere
    than all of them do. Trials that were stopped early count with what they had reached. A method with fewer than
    8 trials that have a value is left out, and so is everything where Optuna is not installed.

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
    distributions = {name: json_to_distribution(json.dumps(one)) for name, one in space.items()}
    by_method: dict[str, list[Any]] = {}
    for trial in trials:
        params = {name: value for name, value in trial["params"].items() if name in distributions}
        if trial.get("value") is not None:
            known = {name: distributions[name] for name in params}
            made = optuna.trial.create_trial(params=params, distributions=known, value=trial["value"])
            by_method.setdefault(str(params.get("method.kind", "")), []).append(made)
    found = {}
    for method, tried in by_method.items():
        if len(tried) < LEAST_TRIALS:
            continue
        study = optuna.create_study(direction="maximize")
        study.add_trials(tried)
        names = sorted({name for one in tried for name in one.params} - {"method.kind"})
        evaluator = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
        with warnings.catch_warnings():  # of values that were tried once
            warnings.simplefilter("ignore")
            raw = evaluator.evaluate(study, params=names)
        total = sum(raw.values())
        if total > 0:
            found[method] = {name: raw[name] / total for name in sorted(raw, key=lambda name: -raw[name])}
    return found


def bars(importance: Mapping[str, float], most: int = 10) -> str:
    """The largest importances as an SVG of horizontal bars, styled by the page's colours."""
    shown = list(importance.items())[:most]
    row, left, width = 20, 190, 520
    parts = []
    for at, (name, share) in enumerate(shown):
        top = at * row
        long = share / shown[0][1] * (width - left - 60)
        parts.append(f'<text x="{left - 6}" y="{top + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="s0" x="{left}" y="{top + 4}" width="{long:.1f}" height="12" rx="2"/>')
        parts.append(f'<text x="{left + long + 6:.1f}" y="{top + 14}">{100 * share:.0f} %</text>')
    return f'<svg viewBox="0 0 {width} {row * len(shown)}" role="img" aria-label="importance">{"".join(parts)}</svg>'


def caption(sweep: str, method: str) -> str:
    """ "What decided sweep s, DVSE"."""
    return f"What decided sweep {sweep}{f', {METHOD_NAMES.get(method, method)}' if method else ''}"
