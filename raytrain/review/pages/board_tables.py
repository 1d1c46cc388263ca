"""The tables of a board as the HTML pages draw them: groups of columns, what is hidden at first, links to reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from raytrain.review.board import SPLITS, Row, Split, Table
from raytrain.review.cell_text import method_title
from raytrain.review.column import Column, PageCell, header_of
from raytrain.review.columns import columns_of

MOST_ROWS = 100
"""Rows of one table of a report; all of them stand on the leaderboard's page."""
MOST_CHOICES = 24
"""Columns, or groups of them, that style.css lets the reader choose; further ones are always shown."""


class Choice(NamedTuple):
    """A column, or a group of them, that the reader can show or hide: `number` names its class in style.css."""

    number: int
    title: str
    is_shown: bool


class Group(NamedTuple):
    """A header over neighbouring columns; the first group of a table has no frame."""

    title: str
    span: int
    css: str


class Head(NamedTuple):
    """A column of one table, as templates/cells.html.j2 draws it."""

    title: str
    css: str
    split: Split | None
    macro: str
    key: Callable[[Row], Any]
    text: Callable[[Row], str]
    detail: Callable[[Row], str]
    tooltip: Callable[[Row], str]


class PageTable(NamedTuple):
    """A table as templates/board.html.j2 draws it.

    Args:
        bar_percent: length of the bar of a row and a split.
        report: address of a row's report; "" where it has none.
        more: rows that are not shown.
    """

    number: int
    protocol: str
    fingerprint: str
    selection: str
    groups: list[Group]
    heads: list[Head]
    choices: list[Choice]
    rows: Sequence[Row]
    bar_percent: Callable[[Row, Split], float]
    report: Callable[[Row], str]
    more: int


def page_tables(tables: Sequence[Table], reports: Mapping[str, str], most_rows: int | None = None) -> list[PageTable]:
    """Tables of a board.

    Args:
        reports: {folder of a row's first run: address of its report}.
        most_rows: of each table; None shows all.
    """
    return [_page_table(number, table, reports, most_rows) for number, table in enumerate(tables)]


def filters_of(tables: Sequence[Table]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(attribute, name, [(value, text)]) of each filter that would leave some rows and hide others."""
    rows = [row for table in tables for row in table]
    values = [
        ("method", "Method", [(row.method, method_title(row)) for row in rows]),
        ("protocol", "Protocol", [(row.protocol, row.protocol) for row in rows]),
        ("rerank", "Re-ranked", [(row.reranking or "no", row.reranking or "no") for row in rows]),
    ]
    return [(name, title, sorted(set(pairs))) for name, title, pairs in values if len(set(pairs)) > 1]


def _page_table(number: int, table: Table, reports: Mapping[str, str], most_rows: int | None) -> PageTable:
    cells = [(column, cell) for column in columns_of(table, "page") for cell in column.page_cells]
    groups, heads, choices = list[Group](), list[Head](), list[Choice]()
    for group, members in itertools.groupby(cells, key=lambda pair: pair[1].group):
        own = list(members)
        for place, (column, cell) in enumerate(own):
            if cell.macro not in ("rank", "method") and (not group or place == 0) and len(choices) < MOST_CHOICES:
                choices.append(Choice(len(choices), group or header_of(cell, table), not cell.hidden(table)))
            css = [f"c{choices[-1].number}"] if choices else []
            css += [] if cell.narrow(table) else ["wide"]
            css += ["first"] if place == 0 and groups else []
            css += ["left"] if cell.left else []
            heads.append(_head(column, cell, table, " ".join(css)))
        groups += _groups(group, [head.css for head in heads[-len(own) :]], framed=bool(groups))
    first = table[0]
    shown = table if most_rows is None else table[:most_rows]
    return PageTable(
        number, first.protocol, first.fingerprint, first.selection, groups, heads, choices, shown, _bar_percent(table),
        lambda row: reports.get(row.folders[0], ""), len(table) - len(shown),
    )  # fmt: skip


def _groups(title: str, css: Sequence[str], framed: bool) -> list[Group]:
    """A header over the columns of a group; each column without a group has an empty one, so that both hide alike."""
    if not title:
        return [Group("", 1, " ".join(word for word in of_column.split() if word != "left")) for of_column in css]
    choice = css[0].split()[0]
    narrow = any("wide" not in of_column.split() for of_column in css)
    return [Group(title, len(css), " ".join([choice, *([] if narrow else ["wide"]), *(["group"] if framed else [])]))]


def _head(column: Column, cell: PageCell, table: Table, css: str) -> Head:
    key = cell.key or column.value

    def sort_key(row: Row) -> Any:
        value = key(row)
        return "" if value is None else value

    text = cell.text or column.text
    return Head(header_of(cell, table), css, column.split, cell.macro, sort_key, text, cell.detail, cell.tooltip)


def _bar_percent(table: Table) -> Callable[[Row, Split], float]:
    """Lengths of bars: they start a little below the lowest row, so that differences of a few points can be seen."""
    spans = {}
    for split in SPLITS:
        sums = [rsum for row in table if (rsum := row.scores(split).rsum) is not None]
        if sums:
            spans[split] = max(0.0, min(sums) - 0.5 * (max(sums) - min(sums)) - 10), max(sums)

    def percent(row: Row, split: Split) -> float:
        rsum, (low, high) = row.scores(split).rsum, spans[split]
        return 100 * (rsum - low) / (high - low) if rsum is not None and high > low else 100.0

    return percent
