"""Costs in a terminal, and where output is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from raytrain.review.accounting import SweepCost, read_journals, sweep_costs
from raytrain.review.costs import READING, costs_text, run_costs, runs_text
from raytrain.review.terminal import print_costs, rich_table
from tests.review.made_sweeps import PRICES, small_sweep


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def made(tmp_path: Path) -> tuple[list[SweepCost], list[dict[str, object]]]:
    small_sweep(tmp_path)
    journals = read_journals(tmp_path)
    return sweep_costs(journals, PRICES), run_costs(journals, PRICES)


def test_what_is_no_terminal_gets_plain_text(made: tuple, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[type-arg]
    costs, runs = made
    print_costs(costs, runs, PRICES)
    expected = f"{runs_text(runs, PRICES)}\n\n{costs_text(costs)}\n\n{READING}\nPrices in EUR of 2026-11-01.\n"
    assert capsys.readouterr().out == expected
    print_costs([])
    assert capsys.readouterr().out == "No sweeps.\n"


def test_a_terminal_gets_the_same_cells_in_a_drawn_table(made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[type-arg]
    costs, runs = made
    terminal = Terminal()
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout", terminal)
    print_costs(costs, runs)
    shown = terminal.getvalue()
    assert "\x1b[1m" in shown  # its header is bold
    for cell in ("1 complete, 1 failed, 1 pruned, 1 repeat", "38%", "0.80 EUR", "s-t000-s1"):
        assert cell in shown


def test_names_are_text_and_no_markup_and_empty_columns_are_left_out() -> None:
    table = rich_table([("sweep", "trials", "money"), ("[red]s[/red]", "", "")], left=2)
    (column,) = table.columns
    assert [str(cell) for cell in column.cells] == ["[red]s[/red]"]
    assert column.justify == "left"
