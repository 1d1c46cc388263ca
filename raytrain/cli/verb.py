"""What every verb of the command line is made with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_verb(
    verbs: Any,
    name: str,
    help_text: str,
    run: Callable[[argparse.Namespace], dict[str, Any]],
    example: str,
    anywhere: bool = False,
) -> argparse.ArgumentParser:
    """A verb with `--json` and an example that works.

    Args:
        verbs: the parser's subparsers.
        run: takes the parsed arguments and returns what `--json` prints.
        anywhere: lets a.b=value stand among its flags.
    """
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if anywhere:
        # subparsers make parsers of the parent's class, which is not ours to choose
        verb.__class__ = OverridesAnywhere
    verb.add_argument("--json", action="store_true", help="print one JSON object on stdout, and all else on stderr")
    verb.set_defaults(run=run)
    return verb


class OverridesAnywhere(argparse.ArgumentParser):
    """Takes a.b=value before, between and after the flags; argparse alone wants all positional arguments together."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        given, overrides, rest = list(args or []), list[str](), list[str]()
        switches = {flag for action in self._actions if action.nargs == 0 for flag in action.option_strings}
        for before, argument in zip(["", *given], given, strict=False):
            is_value = before.startswith("--") and "=" not in before and before not in switches
            plain = "=" in argument and not argument.startswith("-") and not is_value
            (overrides if plain else rest).append(argument)
        found, unknown = super().parse_known_args(rest, namespace)
        found.overrides = [*getattr(found, "overrides", []), *overrides]
        return found, unknown
