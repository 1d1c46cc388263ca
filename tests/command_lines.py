"""Command lines that are parsed and not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from raytrain.cli.main import command


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """("data build", {"source": ..., ...}): the verb of a command line and the values of its flags.

    Raises:
        RaytrainError, typer.TyperException: what `raytrain` ends with an exit code of.
    """
    parsed, words, names = command(), list(arguments), list[str]()
    context = typer.Context(parsed, info_name="raytrain")
    while isinstance(parsed, TyperGroup):
        name, parsed, words = parsed.resolve_command(context, words)
        names.append(name)
        context = typer.Context(parsed, info_name=name, parent=context)
    return " ".join(names), parsed.make_context(names[-1], words, parent=context.parent).params
