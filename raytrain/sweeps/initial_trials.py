"""The trials that a search does not draw: the recipe itself, every point of a grid, each method in turn, the best of
earlier sweeps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raytrain.config import RunConfig, flatten
from raytrain.errors import UsageError
from raytrain.sweeps.space import Space, Walker, distributions
from raytrain.tracking.follow import say
from raytrain.tracking.journal import Journal

WARM_BEST = 5
LARGEST_GRID = 10_000


def first_trials(
    space: Space, base: RunConfig, *, grid: bool, each_method: int, warm_start: Iterable[str]
) -> list[dict[str, Any]]:
    """What is tried before the sampler draws: values of some or all names, none twice, the recipe first.

    Args:
        grid: whether every combination of the space's choices is tried.
        each_method: trials of each method.
        warm_start: folders of earlier sweeps.

    Raises:
        UsageError: the recipe, the grid or an earlier sweep does not fit the space.
    """
    wanted = [paper_trial(space, base)]
    for folder in warm_start:
        wanted += best_of(space, base, folder)
    wanted += even_start(space, each_method)
    if grid:
        wanted += grid_points(space)
    # trials of which only the method is settled are alike, and still differ
    return [one for at, one in enumerate(wanted) if one not in wanted[:at] or list(one) == ["method.kind"]]


def paper_trial(space: Space, base: RunConfig) -> dict[str, Any]:
    """The recipe's own values of the names the space asks for along the recipe's branch: trial 0.

    Raises:
        UsageError: a name the recipe does not have, or a value of it that the space could never draw.
    """
    distributions(space)  # bounds that differ by branch are an error wherever the recipe stands
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


def even_start(space: Space, each: int) -> list[dict[str, Any]]:
    """`each` trials of every method in turn, of which only the method is settled: the sampler draws the rest.

    Raises:
        UsageError: the space does not draw the method.
    """
    if not each:
        return []
    known = distributions(space)
    if "method.kind" not in known:
        raise UsageError("--each-method is for a space that draws method.kind, such as image_text")
    return [{"method.kind": kind} for _ in range(each) for kind in known["method.kind"].choices]


def best_of(space: Space, base: RunConfig, folder: str) -> list[dict[str, Any]]:
    """The best settings that an earlier sweep found, as far as this space can draw them: they are trained again here.

    Nothing is assumed of the values they had: data, budget and recipe may have been others.

    Args:
        folder: of the sweep.

    Raises:
        UsageError: no sweep, or none of its trials fits the space.
    """
    events = [event for event in Journal(Path(folder).expanduser()).read() if event["event"] == "trial"]
    scored = sorted(
        (event for event in events if event["value"] is not None),
        key=lambda event: (event["state"] != "complete", -event["value"], event["number"]),
    )
    if not scored:
        raise UsageError(f"--warm-start {folder}: no sweep with a trial that has a value")
    found, why = [], ""
    for event in scored:
        walker = _Recipe({**flatten(base), **event["params"]})
        space(walker)  # type: ignore[arg-type]
        if walker.outside or walker.unknown:
            why = "; ".join([*walker.outside, *(f"no value of {name}" for name in walker.unknown)])
        else:
            found.append(walker.answers)
        if len(found) == WARM_BEST:
            break
    if not found:
        raise UsageError(f"--warm-start {folder}: this space could have drawn none of its trials ({why})")
    say(f"warm start: the best {len(found)} of {len(scored)} trials of {Path(folder).name} are tried again")
    return found


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination that the space can draw, in its order.

    Raises:
        UsageError: a field without steps, or more combinations than anybody waits for.
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
        else:  # one name at a time: what is asked for next may depend on it
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

    def __init__(self, own: Mapping[str, Any]) -> None:
        super().__init__({})
        self.own = own
        self.unknown: list[str] = []
        self.outside: list[str] = []

    def _answer(self, name: str, distribution: Any, values: tuple[Any, ...]) -> Any:
        if name not in self.own:
            self.unknown.append(name)
            return super()._answer(name, distribution, values)
        value, choices = self.own[name], getattr(distribution, "choices", None)
        if value in choices if choices is not None else distribution.low <= value <= distribution.high:
            values = (value,)
        else:
            allowed = choices if choices is not None else f"{distribution.low} to {distribution.high}"
            self.outside.append(f"{name}={value} of the recipe lies outside the space ({allowed})")
        return super()._answer(name, distribution, values)
