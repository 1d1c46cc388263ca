"""Trials that a search does not draw: the recipe itself, the best of earlier sweeps, each method in turn, a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig, flatten
from raytrain.errors import UsageError, argument
from raytrain.progress import say
from raytrain.sweeps.space import Walker, distributions
from raytrain.sweeps.spaces import Space
from raytrain.tracking.journal import Journal

WARM_BEST = 5
LARGEST_GRID = 10_000


def first_trials(
    space: Space, base: RunConfig, *, grid: bool, each_method: int, warm_start: Iterable[str]
) -> list[dict[str, Any]]:
    """Values of some or all names of the space, per trial that comes before the sampler draws; the recipe first.

    Args:
        grid: whether to try every combination of the space's choices.
        each_method: number of trials of each method.
        warm_start: folders of earlier sweeps, whose best settings are tried.

    Raises:
        UsageError: the recipe, the grid or an earlier sweep does not fit the space.
    """
    trials = [paper_trial(space, base)]
    for folder in warm_start:
        trials += best_of(space, base, folder)
    trials += even_start(space, each_method)
    if grid:
        trials += grid_points(space)
    # none twice; but trials that fix the method alone are equal here and differ in what the sampler draws
    return [values for at, values in enumerate(trials) if values not in trials[:at] or list(values) == ["method.kind"]]


def paper_trial(space: Space, base: RunConfig) -> dict[str, Any]:
    """Trial 0: the recipe's own values of the names that the space asks for along the recipe's branch.

    Raises:
        UsageError: a name the recipe does not have, or a value of it that the space could never draw.
    """
    distributions(space)  # bounds that differ between branches are an error, whichever branch the recipe is on
    walker = _Recipe(flatten(base))
    space(walker)  # type: ignore[arg-type]
    if walker.outside:
        raise UsageError(
            f"{'; '.join(walker.outside)}, so that trial 0 could not be the recipe itself; change the recipe, or widen "
            "the space"
        )
    if walker.unknown:
        raise UsageError(
            f"the space searches {', '.join(walker.unknown)}, which a recipe with method.kind={base.method.kind} "
            "does not have; choose the space of the recipe's method"
        )
    return walker.answers


def even_start(space: Space, each_method: int) -> list[dict[str, Any]]:
    """`each_method` trials of every method in turn, which fix the method alone: the sampler draws the rest.

    Raises:
        UsageError: the space does not draw the method.
    """
    if not each_method:
        return []
    by_name = distributions(space)
    if "method.kind" not in by_name:
        raise UsageError(f"{argument('each_method')} is for a space that draws method.kind, such as image_text")
    return [{"method.kind": kind} for _ in range(each_method) for kind in by_name["method.kind"].choices]


def best_of(space: Space, base: RunConfig, folder: str) -> list[dict[str, Any]]:
    """The best settings of an earlier sweep, as far as this space can draw them; they are trained again here.

    The values that they reached are not taken over: data, budget and recipe may have been others.

    Args:
        folder: of the sweep.

    Raises:
        UsageError: the folder is no sweep's, or none of its trials fits the space.
    """
    events = [event for event in Journal(Path(folder).expanduser()).read() if event["event"] == "trial"]
    scored = sorted(
        (event for event in events if event.get("value") is not None),
        key=lambda event: (event["state"] != "complete", -event["value"], event["number"]),
    )
    if not scored:
        raise UsageError(f"{argument('warm_start', folder)}: no sweep with a trial that has a value")
    settings, why = [], ""
    for event in scored:
        walker = _Recipe({**flatten(base), **event["params"]})
        space(walker)  # type: ignore[arg-type]
        if walker.outside or walker.unknown:
            why = "; ".join([*walker.outside, *(f"no value of {name}" for name in walker.unknown)])
        else:
            settings.append(walker.answers)
        if len(settings) == WARM_BEST:
            break
    if not settings:
        given = argument("warm_start", folder)
        raise UsageError(f"{given}: this space could have drawn none of its trials ({why})")
    say(f"warm start: the best {len(settings)} of {len(scored)} trials of {Path(folder).name} are tried again")
    return settings


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination that the space can draw, in its order.

    Raises:
        UsageError: a field has no steps, or there are more than LARGEST_GRID combinations.
    """
    points: list[dict[str, Any]] = []
    todo: list[dict[str, Any]] = [{}]
    while todo:
        given = todo.pop(0)
        walker = Walker(given)
        space(walker)  # type: ignore[arg-type]
        open_names = [name for name in walker.asked if name not in given]
        if not open_names:
            points.append(given)
        else:  # one name at a time: which name the space asks for next may depend on it
            todo += [{**given, open_names[0]: value} for value in _values(open_names[0], walker.asked[open_names[0]])]
        if len(points) + len(todo) > LARGEST_GRID:
            raise UsageError(f"a grid of this space has more than {LARGEST_GRID:,} points; narrow it")
    return points


def _values(name: str, distribution: Any) -> list[Any]:
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    if distribution.step is None or distribution.log:
        raise UsageError(f"a grid needs steps, and the space has none for {name}; give it choices or a step")
    steps = itertools.takewhile(
        lambda value: value <= distribution.high + 1e-9 * abs(distribution.high),
        (distribution.low + at * distribution.step for at in itertools.count()),
    )
    return list(steps)


class _Recipe(Walker):
    """Answers with a recipe's values; notes names that it lacks and values that the space cannot draw."""

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        super().__init__({})
        self.recipe = recipe
        self.unknown: list[str] = []
        self.outside: list[str] = []

    def _answer(self, name: str, distribution: Any, values: tuple[Any, ...]) -> Any:
        if name not in self.recipe:
            self.unknown.append(name)
            return super()._answer(name, distribution, values)
        value, choices = self.recipe[name], getattr(distribution, "choices", None)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value in choices if choices is not None else is_number and distribution.low <= value <= distribution.high:
            values = (value,)
        else:
            allowed = choices if choices is not None else f"{distribution.low} to {distribution.high}"
            self.outside.append(f"{name}={value} of the recipe lies outside the space ({allowed})")
        return super()._answer(name, distribution, values)
