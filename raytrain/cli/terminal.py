"""What a command prints for people: styled and fitted to a terminal, plain and whole everywhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from raytrain.errors import Problem, printable

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = re.compile("(\x1b\\[[0-9;]*m)")


def print_error(command: str, message: object) -> None:
    """`raytrain train: message` on stderr, its control characters escaped; no markup, and no line is broken."""
    message = printable(str(message))
    if not sys.stderr.isatty():
        print(f"{command}: {message}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble((f"{command}: ", "bold red"), message)
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


class Printable:
    """A stream that takes text for people: control characters are escaped, and what its encoding lacks.

    Args:
        stream: that receives it. A terminal still gets styles (SGR sequences), which rich writes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        pieces = _STYLE.split(text) if self.stream.isatty() else [text]
        pieces[::2] = [printable(piece) for piece in pieces[::2]]  # the others are styles
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.stream.write("".join(pieces).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def screen_console() -> Console:
    """A console on stdout that may move a terminal's cursor; what is drawn on it has to be escaped already."""
    from rich.console import Console

    stream = sys.stdout
    return Console(file=stream.stream if isinstance(stream, Printable) else stream, highlight=False)


def print_skipped(skipped: Sequence[Problem], shown: int = 20) -> None:
    """Count and name on stderr what was left out of recorded runs, at most `shown` of them."""
    if skipped:
        places = [str(problem) for problem in skipped[:shown]]
        more = [f"... and {len(skipped) - shown} more"] if len(skipped) > shown else []
        print("\n".join([f"Left out {len(skipped)} damaged lines or files:", *places, *more]), file=sys.stderr)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout, their columns aligned; a terminal too narrow for the last column gets it in several lines."""
    if not rows:
        return
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for number in range(len(rows[0])):
        table.add_column(style="bold cyan" if number == 0 else None, no_wrap=number < len(rows[0]) - 1)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table, highlight=False)
