"""What a column of the leaderboard is: its values, where it stands, and how the page draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raytrain.review.board import Row, Split, Table

Form = Literal["terminal", "markdown", "brief", "page", "csv", "json"]
"""Where a column may stand. "brief" are the tables of LaTeX and of the README: at most nine columns, one more where
re-ranked rows have a headline."""
Header = str | Callable[[Table], str]
Value = Callable[[Row], Any]
Text = Callable[[Row], str]

DATA: frozenset[Form] = frozenset(("csv", "json"))
LINES: frozenset[Form] = frozenset(("terminal", "markdown"))
WIDE: frozenset[Form] = DATA | LINES | {"page"}
EVERY: frozenset[Form] = WIDE | {"brief"}


@dataclass(frozen=True)
class PageCell:
    """A column of the HTML page.

    Args:
        header: above it.
        group: above that; neighbours of one group share it.
        key: what the page sorts by; None takes the column's value.
        text: in the cell; None takes the column's format.
        detail: in small letters below it.
        tooltip: where the mouse points at it.
        macro: how templates/cells.html.j2 draws the cell: "plain", "code", "rank", "method", "words" in small
            letters, or "bar" of the column's split.
        left: aligned to the left.
        hidden: whether the page hides it in a table until the reader chooses it.
        narrow: whether a narrow screen shows it in a table.
    """

    header: Header
    group: str = ""
    key: Value | None = None
    text: Text | None = None
    detail: Text = lambda row: ""
    tooltip: Text = lambda row: ""
    macro: str = "plain"
    left: bool = False
    hidden: Callable[[Table], bool] = lambda table: False
    narrow: Callable[[Table], bool] = lambda table: False


@dataclass(frozen=True)
class Column:
    """One column of the leaderboard.

    Args:
        name: its key in JSON and header in CSV.
        header: above it elsewhere; a function of the table may return "", which leaves the column out.
        value: of a row.
        format: text of a row's cell; None writes the value as it is.
        fields: {name: value} that CSV and JSON give in place of `name` and `value`.
        forms: where it stands.
        split: whose scores it shows.
        both_splits: forms that show it for both splits; the others show it for the table's main split alone.
        optional: leave it out of a table in which every cell is empty.
        long: stands after the others where a row is one line.
        page: how the HTML page shows it, as one column or several; empty makes one of header, value and format.
    """

    name: str
    header: Header
    value: Value
    format: Text | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    forms: frozenset[Form] = WIDE
    split: Split | None = None
    both_splits: frozenset[Form] = EVERY
    optional: bool = False
    long: bool = False
    page: Sequence[PageCell] = ()

    def text(self, row: Row) -> str:
        if self.format is not None:
            return self.format(row)
        value = self.value(row)
        return "" if value is None else str(value)

    @property
    def page_cells(self) -> Sequence[PageCell]:
        return self.page or (PageCell(self.header),)

    @property
    def data(self) -> Mapping[str, Value]:
        """{name: value of a row} for CSV and JSON."""
        return self.fields or {self.name: self.value}


def header_of(column: Column | PageCell, table: Table) -> str:
    return column.header if isinstance(column.header, str) else column.header(table)
