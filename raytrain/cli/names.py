"""Names of recipes, search spaces and sources: for lists, for the end of a help text, for completion by a shell.

All is looked up when it is asked for, and nothing here imports torch.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence


def recipe_summaries() -> list[tuple[str, str]]:
    """(name, first sentence) of every recipe."""
    from raytrain.recipes import RECIPES

    return [(name, first_sentence(RECIPES[name].__doc__)) for name in sorted(RECIPES)]


def space_summaries() -> list[tuple[str, str]]:
    """(name, first sentence) of every search space."""
    from raytrain.sweeps.spaces import SPACES

    return [(name, first_sentence(SPACES[name].__doc__)) for name in sorted(SPACES)]


def source_summaries() -> list[tuple[str, str]]:
    """(name, first sentence) of every source."""
    from raytrain.data.build import SOURCES, function_of

    modules = {name: inspect.getmodule(function_of(name)) for name in SOURCES}
    return [(name, first_sentence(module.__doc__ if module else None)) for name, module in sorted(modules.items())]


def study_summaries() -> list[tuple[str, str]]:
    """(name, question) of every study."""
    from raytrain.studies import STUDIES

    return [(name, first_sentence(STUDIES[name]().question)) for name in sorted(STUDIES)]


def first_sentence(docstring: str | None) -> str:
    """The first sentence of a docstring, on one line; "" where there is none."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z`])", paragraph)[0]


def recipe_names() -> str:
    """For the end of a help text."""
    from raytrain.recipes import RECIPES

    return f"Recipes (`raytrain recipes` describes them): {', '.join(sorted(RECIPES))}."


def space_names() -> str:
    """For the end of a help text."""
    from raytrain.sweeps.spaces import SPACES

    return f"Search spaces (`raytrain spaces` describes them): {', '.join(sorted(SPACES))}."


def source_names() -> str:
    """For the end of a help text."""
    from raytrain.data.build import SOURCES

    return f"Sources (docs/data.md describes them and their options): {', '.join(sorted(SOURCES))}."


def study_names() -> str:
    """For the end of a help text."""
    from raytrain.studies import STUDIES

    return f"Studies (`raytrain study list` describes them): {', '.join(sorted(STUDIES))}."


def complete_recipe(incomplete: str) -> Iterator[tuple[str, str]]:
    return _starting_with(incomplete, recipe_summaries())


def complete_space(incomplete: str) -> Iterator[tuple[str, str]]:
    return _starting_with(incomplete, space_summaries())


def complete_study(incomplete: str) -> Iterator[tuple[str, str]]:
    return _starting_with(incomplete, study_summaries())


def complete_source(incomplete: str) -> Iterator[tuple[str, str]]:
    return _starting_with(incomplete, source_summaries())


def _starting_with(incomplete: str, summaries: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Names with as much of their summaries as fits beside them in a shell."""
    return (
        (name, textwrap.shorten(text, 60, placeholder="...")) for name, text in summaries if name.startswith(incomplete)
    )


def run_fields(words: Sequence[str]) -> Iterable[str]:
    """Dotted names of everything that a run's a.b=value may set, of whatever method."""
    from raytrain.config import RunConfig
    from raytrain.config.fields import leaves

    return leaves(RunConfig)


def source_fields(words: Sequence[str]) -> Iterable[str]:
    """Options of the source that a command line names."""
    from raytrain.data.build import SOURCES, options_of

    return [name for word in words if word in SOURCES for name in options_of(word)]
