"""Costs in the terminal: a table drawn by rich where output is a terminal, plain columns elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from raytrain.review.accounting import SweepCost
from raytrain.review.costs import (
    READING,
    cost_lines,
    costs_text,
    run_lines,
    runs_text,
    unpriced,
    without_empty_columns,
)
from raytrain.review.escaping import plain
from raytrain.review.prices import Prices


def print_costs(
    costs: Sequence[SweepCost], runs: Sequence[Mapping[str, Any]] | None = None, prices: Prices | None = None
) -> None:
    """Print what each sweep cost, after what each run did where `runs` are given, and how to read it."""
    console = Console(highlight=False)  # of this moment's stdout
    if runs is not None:
        if console.is_terminal and runs:
            console.print(rich_table(run_lines(runs, prices), left=2))
        else:
            print(f"{runs_text(runs, prices)}\n")
    if console.is_terminal and costs:
        console.print(rich_table(cost_lines(costs), left=2), *unpriced(costs), sep="\n")
    else:
        print(costs_text(costs))
    if costs:
        print(f"\n{READING}")
    if prices:
        print(f"Prices in {prices.currency} of {prices.date.isoformat()}.")


def rich_table(lines: Sequence[Sequence[str]], left: int) -> Table:
    """A header and rows, without empty columns; the first `left` columns of `lines` are aligned to the left."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = lines[0][:left]
    header, *rows = without_empty_columns(lines)
    for name in header:
        table.add_column(Text(name), justify="left" if name in names else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))  # text, so that a [name] is no markup
    return table
