"""The verbs that say what there is: recipes, spaces, methods, sources, and show, a run as it would be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from raytrain.cli.names import recipe_names, recipe_summaries, run_fields, source_summaries, space_summaries
from raytrain.cli.options import Overrides, Recipe
from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import verb

if TYPE_CHECKING:
    from raytrain.config import RunConfig

app = typer.Typer()
_PANEL = "Look up"


@verb(
    app,
    "show",
    "raytrain show dvse_flickr8k method.views=8",
    "raytrain show dvse_flickr8k optim.lr=1e-3 > run.yaml",
    panel=_PANEL,
    names=recipe_names,
    fields=run_fields,
)
def run_show(recipe: Recipe, overrides: Overrides = None) -> dict[str, Any]:
    """Print the run of a recipe as YAML, and where each value comes from.

    A comment says that a value is the recipe's or an override; one without a comment is the default.
    """
    from raytrain.config import flatten, override, parse_overrides
    from raytrain.recipes.load import load_recipe

    base = load_recipe(recipe)
    changes = parse_overrides(base, overrides or [])
    config = override(base, changes)
    origins = _origins(config, changes)
    print(_as_yaml(config, origins))
    return {"recipe": recipe, "values": flatten(config), "origins": origins}


def _origins(config: RunConfig, changes: Mapping[str, Any]) -> dict[str, str]:
    """{"optim.lr": "override", ...}: "override", "default", or "recipe" of every single value of a run."""
    from raytrain.config import flatten
    from raytrain.config.fields import kinds_in

    kinds = kinds_in(config.model_dump())
    return {
        name: "override" if name in changes else "default" if value == _default(type(config), name, kinds) else "recipe"
        for name, value in flatten(config).items()
    }


def _default(root: type[RunConfig], name: str, kinds: Mapping[str, str]) -> Any:
    """What a run has where nobody sets it, as `flatten` writes it; equal to nothing where it must be set."""
    from raytrain.config.fields import part_at

    *place, field = name.split(".")
    if field == "kind":  # which kind a part is of is a choice of the part that holds it
        *place, field = place
    part = part_at(root, place, kinds)
    assert part is not None
    default = part.model_fields[field].get_default(call_default_factory=True)
    default = getattr(default, "kind", default)
    return list(default) if isinstance(default, tuple) else default


def _as_yaml(config: RunConfig, origins: Mapping[str, str]) -> str:
    """The run as YAML that `raytrain train` reads, with an aligned comment on each value that is no default."""
    lines = list(_yaml_lines(config.model_dump(mode="json"), "", origins))
    width = max(len(line) for line, origin in lines if origin)
    return "\n".join(f"{line:{width}s}  # {origin}" if origin else line for line, origin in lines)


def _yaml_lines(values: Mapping[str, Any], place: str, origins: Mapping[str, str]) -> list[tuple[str, str]]:
    """(line, origin) of each value and each group; "" for the origin of a group or a default."""
    import yaml

    indent = "  " * (place.count(".") + 1) if place else ""
    lines = []
    for key, value in values.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, dict):
            lines += [(f"{indent}{key}:", ""), *_yaml_lines(value, name, origins)]
            continue
        text = yaml.safe_dump([value], default_flow_style=True, width=float("inf")).strip()[1:-1]
        lines.append((f"{indent}{key}: {text}", origins[name].replace("default", "")))
    return lines


@verb(app, "recipes", "raytrain recipes", "raytrain recipes --json", panel=_PANEL)
def run_recipes() -> dict[str, Any]:
    """List the recipes: complete runs to train, sweep and change."""
    return {"recipes": _print_names(recipe_summaries())}


@verb(app, "spaces", "raytrain spaces", panel=_PANEL)
def run_spaces() -> dict[str, Any]:
    """List the search spaces of sweeps."""
    return {"spaces": _print_names(space_summaries())}


@verb(app, "methods", "raytrain methods", panel=_PANEL)
def run_methods() -> dict[str, Any]:
    """List the methods: what they do and where they were published."""
    from raytrain.config import method_label
    from raytrain.config.methods import METHOD_CONFIGS

    names = [name for kind, config in METHOD_CONFIGS.items() for name in _names_of_method(kind, config.variants)]
    labels = {name: method_label(name) for name in names}
    print_columns(
        [
            (name, label.title, label.summary + (f" ({label.paper})" if label.paper else ""))
            for name, label in labels.items()
        ]
    )
    methods = [
        {"name": name, "title": label.title, "summary": label.summary, "paper": label.paper}
        for name, label in labels.items()
    ]
    return {"methods": methods}


def _names_of_method(kind: str, variants: Mapping[str, Any]) -> list[str]:
    return [f"{kind}/{variant}" for variant in variants] or [kind]


@verb(app, "sources", "raytrain sources", panel=_PANEL)
def run_sources() -> dict[str, Any]:
    """List the layouts of files that `raytrain data build` reads."""
    return {"sources": _print_names(source_summaries())}


def _print_names(rows: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    print_columns(rows)
    return [{"name": name, "summary": summary} for name, summary in rows]
