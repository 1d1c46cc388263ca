"""The one list of columns: what it gives to JSON and CSV, and that a new column needs no other place."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pytest

from raytrain.review import columns
from raytrain.review.board import Board, Comparison, Headline, Interval
from raytrain.review.column import EVERY, Column
from raytrain.review.columns import COLUMNS, as_dict, columns_of, data_of
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_csv, to_latex, to_markdown, to_text
from tests.review.made_rows import made_row, made_scores

RECALLS = [f"{side}/recall_at_{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]
COMPOSED = ["recall_at_1", "recall_at_10", "recall_at_50", "map_at_r"]
CSV_HEADER = [
    "rank", "fingerprint", "protocol", "experiment", "method", "views", "settings", "rerank", "transductive", "seeds",
    *(f"{split}/{name}" for split in ("val", "test") for name in (*RECALLS, *COMPOSED, "rsum", "rsum_sd")),
    "headline", "headline_value", "headline_sd", "interval_split", "rsum_low", "rsum_high", "first", "first_split",
    "first_difference", "first_low", "first_high", "first_p", "worker_seconds", "gpu_seconds", "cpu_seconds",
    "lost_seconds", "money", "currency", "epochs", "commit", "runs", "folders", "interval_over", "first_over",
    "rerank_gain/val", "rerank_gain/test", "rerank_lowers_test", "unequal", "unverified", "test_openings",
    "test_openings_in_all", "selection", "chance",
]  # fmt: skip
"""What scripts read; a name that goes or moves breaks them."""


def headers(form: columns.Form, *rows: columns.Row) -> list[str]:
    return [columns.header_of(column, rows) for column in columns_of(rows, form)]


def test_csv_and_json_keep_the_names_that_scripts_read() -> None:
    assert list(data_of("csv")) == CSV_HEADER
    assert set(data_of("json")) == {*CSV_HEADER, "composed"}


def test_no_two_columns_share_a_name() -> None:
    names = Counter(name for column in COLUMNS for name in column.data)
    assert max(names.values()) == 1


def test_a_row_as_json_has_none_for_what_it_lacks() -> None:
    row = made_row(comparison=Comparison(1, "test", -1.0, -2.0, 0.5, 0.2))
    result = json.loads(json.dumps(as_dict(row)))
    assert (result["val/rsum"], result["test/rsum"], result["val/i2t/recall_at_5"]) == (300.0, None, 20.0)
    assert (result["first"], result["first_p"], result["rsum_low"], result["headline"]) == (1, 0.2, None, None)
    assert result["seeds"] == [0]


def test_every_form_says_in_the_cell_that_training_noise_is_not_covered() -> None:
    """One seed: bounds and p hold for that trained model alone."""
    row = made_row(interval=Interval("val", 290.0, 310.0), comparison=Comparison(1, "val", -1.0, -2.0, 0.5, 0.2))
    board = Board([row], {"finished": 1})
    (line,) = csv.DictReader(io.StringIO(to_csv(board)))
    assert line["interval_over"] == line["first_over"] == "images; training noise not covered"
    assert as_dict(row)["interval_over"] == line["interval_over"]
    for text, interval in (
        (to_text(board), "[290.0, 310.0] val, training noise not covered"),
        (to_markdown(board), "[290.0, 310.0] val, training noise not covered |"),
        (to_latex(board), "[290.0, 310.0] val, training noise not covered &"),
        (to_html(board), "<small>290.0 to 310.0 over images, training noise not covered</small>"),
    ):
        assert interval in text
        assert text.count("raining noise not covered") >= (1 if text.startswith("%") else 2)


def test_a_column_added_to_the_list_stands_in_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Column("loudness", "Loudness", lambda row: row.epochs / 2, lambda row: f"{row.epochs / 2} dB", forms=EVERY)
    monkeypatch.setattr(columns, "COLUMNS", (*COLUMNS, mine))
    row = made_row(epochs=7)
    board = Board([row], {"finished": 1})
    for text in (to_text(board), to_markdown(board), to_latex(board), to_html(board)):
        assert "Loudness" in text and "3.5 dB" in text
    (line,) = csv.DictReader(io.StringIO(to_csv(board)))
    assert line["loudness"] == "3.5"
    assert as_dict(row)["loudness"] == 3.5


def test_the_terminal_shows_the_recalls_of_one_split_and_markdown_of_both() -> None:
    row = made_row(test=made_scores(310.0))
    assert "val i2t R@1/5/10" not in headers("terminal", row)
    assert {"test i2t R@1/5/10", "t2i R@1/5/10", "val rsum", "test rsum"} <= set(headers("terminal", row))
    assert {"val i2t R@1/5/10", "test i2t R@1/5/10"} <= set(headers("markdown", row))
    assert "val i2t R@1/5/10" in headers("terminal", made_row())


def test_composed_queries_have_recalls_of_their_own() -> None:
    row = made_row(composed=True, val=made_scores(200.0, composed=True))
    assert "val R@1/10/50 mAP@R" in headers("markdown", row)
    assert not any("i2t" in header for header in headers("markdown", row))


def test_columns_that_are_empty_in_every_row_are_left_out_and_settings_stand_last() -> None:
    plain = headers("markdown", made_row())
    assert not {"FR", "against first", "lost s", "money", "settings"} & set(plain)
    assert {"interval", "GPU s"} <= set(plain)  # these stay, empty or not
    row = made_row(settings="lr=0.1", rerank="cross i2t 20", transductive=True)
    assert headers("markdown", row, made_row())[-1] == "settings"
    assert "FR" in headers("markdown", row, made_row())


def test_a_headline_heads_its_column_by_its_own_name() -> None:
    row = made_row(headline=Headline("val cirr/mean_recall", None, None))
    assert "val cirr/mean_recall" in headers("page", row)
    assert "" not in headers("page", made_row())


def test_brief_tables_have_at_most_nine_columns() -> None:
    row = made_row(test=made_scores(310.0, 2.0), rerank="cross i2t 20", transductive=True)
    assert headers("brief", row) == [
        "#", "method", "K", "re-ranked", "test i2t R@1/5/10", "t2i R@1/5/10", "test rsum", "interval", "runs",
    ]  # fmt: skip
