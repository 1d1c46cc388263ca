"""The cost of sweeps and runs: what a journal keeps of it, and what the terminal shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.errors import UsageError
from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.review.costs import clock, cost_lines, costs_text, record_sweep_cost, runs_text, without_empty_columns
from raytrain.tracking.journal import Journal
from tests.review.made_sweeps import PRICES, small_sweep


def test_the_cost_becomes_a_line_of_the_sweeps_journal(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    record_sweep_cost(tmp_path / "e" / "s", PRICES)
    line = Journal(tmp_path / "e" / "s").last("cost")
    assert line is not None
    assert line["metrics"]["cost/money"] == pytest.approx(0.32)
    assert line["metrics"]["cost/busy"] == pytest.approx(0.375)
    assert line["currency"] == "EUR" and line["prices_date"] == "2026-11-01"
    with pytest.raises(UsageError, match="is no sweep"):
        record_sweep_cost(tmp_path / "e" / "alone", PRICES)


def test_the_tables_show_shares_and_money_where_there_are_any(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    costs = sweep_costs(read_journals(tmp_path), PRICES)
    text = costs_text(costs)
    assert "38%" in text and "2.5%" in text and "60%" in text and "0.32 EUR" in text and "0.80 EUR" in text
    assert "money" not in costs_text(sweep_costs(read_journals(tmp_path)))
    assert costs_text([]) == "No sweeps."
    assert runs_text([]) == "No runs."


def test_each_run_is_listed_with_its_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_sweep(tmp_path)
    (tmp_path / "prices.yaml").write_text("currency: EUR\ndate: 2026-11-01\ngpu_hour: {a100: 7.2}\n")
    assert main(["cost", "--storage", str(tmp_path), "--runs", "--json"]) == 0
    output = capsys.readouterr()
    text = output.err.splitlines()
    runs = {run["run"]: run for run in json.loads(output.out)["runs"]}
    assert (runs["s-t001"]["sweep"], runs["s-t001"]["worker_seconds"], runs["s-t001"]["lost_seconds"]) == ("s", 40, 10)
    assert runs["s-t001"]["money"] == pytest.approx(50 * 0.002)
    assert (runs["alone"]["sweep"], runs["alone"]["money"]) == (None, None)  # a CPU has no price in this table
    assert any(line.startswith("s-t001") and line.endswith("0.10 EUR") for line in text)
    assert "Prices in EUR of 2026-11-01." in text


def test_a_device_without_a_price_is_named_below_the_table(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="NVIDIA H100")
    text = costs_text(sweep_costs(read_journals(tmp_path), PRICES))
    assert text.splitlines()[-1] == "No price of NVIDIA H100: fill in the price table."


def test_a_column_that_is_empty_in_every_row_is_left_out(tmp_path: Path) -> None:
    assert without_empty_columns([("a", "b", "c"), ("1", "", ""), ("2", "", "x")]) == [
        ["a", "c"],
        ["1", ""],
        ["2", "x"],
    ]
    small_sweep(tmp_path)
    lines = cost_lines(sweep_costs(read_journals(tmp_path)))
    assert lines[0][-2:] == ("money", "held") and lines[1][-2:] == ("", "")
    assert "held" not in costs_text(sweep_costs(read_journals(tmp_path)))


def test_hours_grow_beyond_a_day_and_minutes_keep_two_digits() -> None:
    assert (clock(3723), clock(59.6), clock(100 * 3600)) == ("1:02:03", "0:01:00", "100:00:00")
