"""The text of cells, with and without what they may lack."""

from __future__ import annotations

from dataclasses import replace

from raytrain.review import cell_text
from raytrain.review.board import Comparison, Coverage, Headline, Interval
from tests.review.made_rows import COST, made_row


def test_numbers_have_one_digit_and_a_spread_where_there_is_one() -> None:
    assert cell_text.number(12.345) == "12.3"
    assert cell_text.number(None) == ""
    assert cell_text.with_spread(346.55, 4.21) == "346.6 ± 4.2"
    assert cell_text.with_spread(346.55, None) == "346.6"


def test_a_method_is_shown_by_its_title_and_an_unknown_one_by_its_name() -> None:
    assert cell_text.method_title(made_row(method="composed/tirg")) == "TIRG"
    assert cell_text.method_title(made_row(method="someones_own")) == "someones_own"


def test_an_interval_names_its_split_unless_it_is_test_and_what_it_does_not_cover() -> None:
    seeds = Coverage(seeds=True)
    assert cell_text.interval(made_row(interval=Interval("test", 290.04, 310.0, seeds))) == "[290.0, 310.0]"
    assert cell_text.interval(made_row(interval=Interval("val", 290.04, 310.0, seeds))) == "[290.0, 310.0] val"
    one_seed = made_row(interval=Interval("test", 290.04, 310.0))
    assert cell_text.interval(one_seed) == "[290.0, 310.0], training noise not covered"
    assert cell_text.interval_bounds(one_seed) == "290.0 to 310.0 over images, training noise not covered"
    assert cell_text.interval(made_row()) == cell_text.interval_bounds(made_row()) == ""


def test_the_header_of_intervals_is_what_the_widest_of_a_table_are_over() -> None:
    one, several = (made_row(interval=Interval("test", 1, 2, Coverage(seeds))) for seeds in (False, True))
    assert cell_text.interval_header([made_row(), one, several]) == "95 % over images and seeds"
    assert cell_text.interval_header([one]) == "95 % over images"
    assert cell_text.interval_header([made_row()]) == "interval"
    composed = made_row(interval=Interval("test", 1, 2, Coverage(True, gallery=True)))
    assert cell_text.interval_header([composed]) == "95 % over queries, gallery items and seeds"


def test_what_is_covered_and_what_is_not_is_said_in_words() -> None:
    assert cell_text.covered(Coverage(True)) == "images and seeds"
    assert cell_text.covered(Coverage(False, gallery=True)) == "queries and gallery items; training noise not covered"
    assert cell_text.covered(Coverage(False, gallery=False)) == "queries; training noise and gallery items not covered"


def test_a_comparison_has_signs_bounds_and_p() -> None:
    row = made_row(comparison=Comparison(1, "val", -3.2, -5.94, 0.4, 0.0301, Coverage(seeds=True)))
    assert cell_text.comparison(row) == "-3.2 [-5.9, +0.4] p 0.03 val"
    assert cell_text.difference(row) == "-3.2"
    assert cell_text.comparison_bounds(row) == "-5.9 to +0.4, p 0.03"
    one_seed = made_row(comparison=Comparison(1, "test", -3.2, -5.94, 0.4, 0.0301))
    assert cell_text.comparison(one_seed) == "-3.2 [-5.9, +0.4] p 0.03, training noise not covered"
    assert cell_text.comparison_bounds(one_seed) == "-5.9 to +0.4, p 0.03, training noise not covered"
    assert cell_text.comparison(made_row()) == cell_text.comparison_bounds(made_row()) == ""


def test_a_small_p_is_no_zero() -> None:
    assert cell_text.p_value(0.0003) == "p < 0.001"
    assert cell_text.p_value(0.001) == "p 0.001"


def test_a_headline_is_named_for_its_table_even_where_a_value_is_missing() -> None:
    row, empty = made_row(headline=Headline("val cirr/mean_recall", 41.5, 0.25)), made_row()
    assert cell_text.headline_name([empty, row]) == "val cirr/mean_recall"
    assert cell_text.headline_name([empty]) == ""
    assert cell_text.headline(row) == "41.5 ± 0.2"
    assert cell_text.headline(made_row(headline=Headline("val x", None, None))) == ""


def test_lost_seconds_below_half_a_second_are_not_shown() -> None:
    assert cell_text.lost(made_row(cost=replace(COST, lost_seconds=0.49))) == ""
    assert cell_text.lost(made_row(cost=replace(COST, lost_seconds=49.6))) == "50"


def test_money_stands_with_its_currency() -> None:
    assert cell_text.money(made_row(cost=replace(COST, money=0.125, currency="EUR"))) == "0.12 EUR"
    assert cell_text.money(made_row(cost=replace(COST, currency="EUR"))) == ""


def test_commits_are_cut_to_seven_digits_and_keep_the_sign_of_changes() -> None:
    assert cell_text.short_commit(made_row(commit="c0ffee123456+ 0123456789ab")) == "c0ffee1+ 0123456"
    assert cell_text.short_commit(made_row(commit="c0ffee123456 v0.2.0.dev10")) == "c0ffee1 v0.2.0.dev10"


def test_runs_beyond_the_first_are_counted() -> None:
    assert cell_text.run_names(made_row()) == "r0"
    assert cell_text.run_names(made_row(runs=["a", "b", "c"])) == "a and 2 more"
