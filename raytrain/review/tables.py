"""A leaderboard as text for a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace

from raytrain.errors import distinct
from raytrain.review.board import Board, Row, Table, main_split
from raytrain.review.cell_text import gain, lost, money, opened
from raytrain.review.column import Form, header_of
from raytrain.review.columns import columns_of, data_of
from raytrain.review.escaping import csv_value, latex, markdown, plain
from raytrain.review.marks.selection import is_trained_on

EXPLANATION = (
    "Recalls and mAP@R are in percent; rsum is the sum of the recalls; rows are ordered by validation rsum. ± is the "
    "standard deviation over seeds, [ ] the 95 % interval of each row by itself, over what stands with it. Against "
    "first: rsum minus that of the first row re-ranked alike, on test where both rows were evaluated there, with its "
    "interval and p (t test on the same queries), both corrected over the rows compared: in 95 % of such tables all "
    "these intervals hold at once, and one leaves out zero where p < 0.05. Training noise not covered: a row has one "
    "seed, and another seed may move it further than the interval says. FR rows are re-ranked knowing all queries "
    "(transductive), or over a bank of training queries where they say inductive. Seconds are means per run, summed "
    "over its workers."
)
LOST = "Lost seconds are those for which workers were held without a result: repeated epochs, failures, restarts."
MONEY = "Money is the price of kept and lost seconds by the price table."
OPENED = (
    "Test opened: how often the test split was opened by a run or its weights, of all openings of the same test rows "
    "that were counted."
)
UNEQUAL = "Budget: training samples (or epochs) and parameters against those of the first row re-ranked alike."
UNVERIFIED = "Unverified in: where features were read without comparing them with the table's checksums."
GAIN = "FR gain: rsum against that of the same runs without re-ranking."
CHANCE = "(chance) follows a recall that a random order reaches to so much, since the gallery is small."
TRAINED = "Runs that were selected on what they train on have a table of their own: its validation is no validation."


def to_text(board: Board) -> str:
    """Plain aligned columns, one table per data fingerprint and protocol."""
    tables = [f"{plain(title(table))}\n{aligned(cells(table, 'terminal'))}" for table in board.tables]
    return "\n\n".join([*tables, "\n".join(map(plain, [summary(board), *left_out_lines(board)]))])


def to_markdown(board: Board) -> str:
    tables = [f"**{markdown(title(table))}**\n\n{markdown_table(cells(table, 'markdown'))}" for table in board.tables]
    lines = [markdown(line) for line in left_out_lines(board)]
    left_out = ["\n".join([lines[0], "", *(f"- {line}" for line in lines[1:])])] if lines else []
    return "\n\n".join([*tables, markdown(summary(board)), *left_out, explanation(board)]) + "\n"


def to_latex(board: Board) -> str:
    """Short tables for a paper, one per data fingerprint and protocol; they need the package booktabs."""
    tables = [_latex_table(brief_rows(table)) for table in board.tables]
    return "\n".join(["% needs \\usepackage{booktabs}", *tables]) + "\n"


def to_csv(board: Board) -> str:
    """Every value of every row, as `csv_value` writes it."""
    values = data_of("csv")
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(values)
    for row in board.rows:
        writer.writerow([csv_value(value(row)) for value in values.values()])
    return out.getvalue()


def brief_rows(table: Table) -> list[Row]:
    """The rows with an rsum on the table's main split, all where none has one, ranked anew from 1."""
    split = main_split(table)
    rows = [row for row in table if row.scores(split).rsum is not None] or table
    return [replace(row, rank=rank) for rank, row in enumerate(rows, start=1)]


def title(table: Table) -> str:
    selection = f", selected on {table[0].selection}" if table[0].selection else ""
    return f"Protocol {table[0].protocol}, data {table[0].fingerprint}{selection}"


def summary(board: Board) -> str:
    """How many runs there were, by status, and what was left out of them."""
    if not board.counts:
        return " ".join(["No runs.", *_skipped(board)])
    counts = ", ".join(f"{count} {status}" for status, count in sorted(board.counts.items()))
    rest = "" if set(board.counts) == {"finished"} else "; only finished runs are ranked"
    total = sum(board.counts.values())
    return " ".join([f"{total} run{'s' if total > 1 else ''}: {counts}{rest}.", *_skipped(board)])


def _skipped(board: Board, shown: int = 5) -> list[str]:
    """A sentence that counts and names the damaged lines and files; none where there are none."""
    problems = distinct(board.skipped)
    if not problems:
        return []
    places = [f"{p.file}{'' if p.row is None else f' line {p.row}'} ({p.what})" for p in problems[:shown]]
    more = f" and {len(problems) - shown} more" if len(problems) > shown else ""
    noun = "line or file" if len(problems) == 1 else "lines and files"
    return [f"Left out: {len(problems)} damaged {noun}: {'; '.join(places)}{more}."]


def left_out_lines(board: Board) -> list[str]:
    """A heading, and a line per evaluation file or run that does not count, with the reason; [] without any."""
    if not board.left_out:
        return []
    return [f"Left out ({len(board.left_out)}):", *map(str, board.left_out)]


def explanation(board: Board) -> str:
    """How to read what the board shows."""
    notes: list[tuple[str, Callable[[Row], object]]] = [
        (LOST, lost),
        (MONEY, money),
        (OPENED, opened),
        (UNEQUAL, lambda row: row.unequal),
        (UNVERIFIED, lambda row: row.unverified),
        (GAIN, gain),
        (CHANCE, lambda row: any(row.chance.values())),
        (TRAINED, lambda row: is_trained_on(row.selection)),
    ]
    return " ".join([EXPLANATION, *(note for note, cell in notes if any(cell(row) for row in board.rows))])


def cells(table: Table, form: Form) -> list[list[str]]:
    """The headers and the rows of a table, as text."""
    columns = columns_of(table, form)
    return [
        [header_of(column, table) for column in columns],
        *([column.text(row) for column in columns] for row in table),
    ]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A header and rows as plain columns, numbers to the right."""
    lines = [[plain(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    numeric = numeric_columns(lines)
    header, *rows = lines
    return "\n".join(
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True)).rstrip()
        for line in (header, ["-" * width for width in widths], *rows)
    )


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    header, *rows = [[markdown(cell) for cell in line] for line in lines]
    rule = ["---:" if numeric else "---" for numeric in numeric_columns([header, *rows])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def _latex_table(table: Table) -> str:
    lines = [[latex(cell) for cell in line] for line in cells(table, "brief")]
    header, *rows = [" & ".join(line) + r" \\" for line in lines]
    alignment = "".join("r" if numeric else "l" for numeric in numeric_columns(cells(table, "brief")))
    head = [f"% {latex(title(table))}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", header, r"\midrule"]
    return "\n".join([*head, *rows, r"\bottomrule", r"\end{tabular}"])


def numeric_columns(lines: Sequence[Sequence[str]]) -> list[bool]:
    """Of each column, whether every cell below the header begins with a digit or is empty."""
    return [all(not line[i] or line[i][0].isdigit() for line in lines[1:]) for i in range(len(lines[0]))]
