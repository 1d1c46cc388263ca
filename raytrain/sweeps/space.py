"""What a define-by-run search space can draw, found out by walking it, and what makes two sweeps the same search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from raytrain.config import RunConfig, changes_nothing, completed, flatten
from raytrain.errors import RefusedError, UsageError
from raytrain.sweeps.spaces import Space
from raytrain.tracking.sweep_record import SearchIdentity

NAMES = ("name", "experiment")
JUDGED_BY = ("data.table", "data.train_split", "data.val_split", "evaluation.", "experiment", "storage")
"""Fields by which trials are compared, or which say where they lie: a search draws none of them."""


class Walker:
    """Stands in for an Optuna trial: answers with chosen values and notes what was asked for.

    Args:
        given: values to answer with; other names get their lowest or first value.
        high: answer the other names with their highest or last value.
        number: of the trial.
    """

    def __init__(self, given: Mapping[str, Any], high: bool = False, number: int = 0) -> None:
        self.given, self.high, self.number = given, high, number
        self.asked: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        from optuna.distributions import FloatDistribution

        return float(self._answer(name, FloatDistribution(low, high, log=log, step=step), (low, high)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        from optuna.distributions import IntDistribution

        return int(self._answer(name, IntDistribution(low, high, log=log, step=step), (low, high)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        from optuna.distributions import CategoricalDistribution

        if any(isinstance(choice, tuple) for choice in choices):
            lists = [list(choice) if isinstance(choice, tuple) else choice for choice in choices]
            raise UsageError(f"the search space gives {name} tuples to choose from; write lists: {lists}")
        return self._answer(name, CategoricalDistribution(choices), tuple(choices))

    def _answer(self, name: str, distribution: Any, values: tuple[Any, ...]) -> Any:
        if self.asked.setdefault(name, distribution) != distribution:
            raise UsageError(f"the search space asks for {name} twice, with different bounds")
        self.answers[name] = self.given.get(name, values[-1 if self.high else 0])
        return self.answers[name]


def walk(space: Space) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Visits of the space that together meet each name, each bound and each choice of a category at least once.

    A name that appears only under one combination of two choices, neither of which leads to the other, can be missed.

    Returns:
        (distributions by name, answers by name, changes of the RunConfig) per visit.
    """
    visits = []
    todo: list[tuple[dict[str, Any], bool]] = [({}, False), ({}, True)]
    seen: set[tuple[str, str]] = set()
    while todo:
        given, high = todo.pop(0)
        walker = Walker(given, high)
        derived = space(walker) or {}  # type: ignore[arg-type]
        visits.append((walker.asked, walker.answers, {**walker.answers, **derived}))
        before: dict[str, Any] = {}
        for name, distribution in walker.asked.items():
            for choice in getattr(distribution, "choices", ()):
                if (name, repr(choice)) not in seen:
                    seen.add((name, repr(choice)))
                    todo += [({**before, name: choice}, False), ({**before, name: choice}, True)]
            before[name] = walker.answers[name]
    return visits


def drawn(space: Space, params: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    """The changes of the RunConfig that follow from what a study stored: its values, and fields derived from them."""
    walker = Walker(params, number=number)
    derived = space(walker) or {}  # type: ignore[arg-type]
    return {**walker.answers, **derived}


def refuse_to_judge_anew(changes: Mapping[str, Any]) -> None:
    """Raises RefusedError: a trial would be judged on something else than the sweep it belongs to."""
    forbidden = [name for name in changes if name.startswith(JUDGED_BY)]
    if forbidden:
        raise RefusedError(
            f"a search may not draw {', '.join(forbidden)}: its trials are compared on one table, its splits and one "
            "metric"
        )


def distributions(space: Space) -> dict[str, Any]:
    """{name: Optuna distribution} of every name that the space can ask for.

    Raises:
        UsageError: a name has different bounds on different branches.
    """
    by_name: dict[str, Any] = {}
    for asked, _, _ in walk(space):
        for name, distribution in asked.items():
            if by_name.setdefault(name, distribution) != distribution:
                raise UsageError(
                    f"the search space gives {name} different bounds on different branches; name them apart"
                )
    return by_name


def identity(space: Space, base: RunConfig, fingerprint: str, settings: Mapping[str, Any]) -> SearchIdentity:
    """What must not change between the start of a sweep and its resumption.

    Args:
        fingerprint: of the table.
        settings: of the search: seed, scheduler and the like.
    """
    from optuna.distributions import distribution_to_json

    drawn = {
        name: json.loads(distribution_to_json(distribution))
        for name, distribution in sorted(distributions(space).items())
    }
    fields = flatten(base).items()
    config = {name: value for name, value in fields if name not in NAMES and not changes_nothing(name)}
    # through JSON, so that what is read back compares equal
    value = {"space": drawn, "base": config, "data": fingerprint, "search": dict(settings)}
    return SearchIdentity.model_validate(json.loads(json.dumps(value)))


def refuse_other(before: SearchIdentity, now: SearchIdentity, sweep: str) -> None:
    """Refuse a resumption that would be another search than the sweep was started as.

    Raises:
        RefusedError: the two differ; each field that does is named.
    """
    parts_before, parts_now = before.model_dump(), now.model_dump()
    # fields that came after the sweep was started had their defaults
    later = {name: value for name, value in completed(parts_before["base"]).items() if name in parts_now["base"]}
    parts_before["base"] = {**later, **parts_before["base"]}
    lines = []
    for part in sorted({*parts_before, *parts_now}):
        old, new = parts_before.get(part), parts_now.get(part)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [
                f"{part} {name}: was {old.get(name, 'absent')}, is {new.get(name, 'absent')}"
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        elif old != new:
            lines.append(f"{part}: was {old}, is {new}")
    if lines:
        raise RefusedError(
            f"{sweep} was started as another search, so that its trials cannot be compared with new ones:\n  "
            + "\n  ".join(lines)
            + "\nResume it as it was, or start a new sweep under another name."
        )
