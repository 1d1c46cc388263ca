"""A leaderboard as text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

from raytrain.review.board import Board, Comparison
from raytrain.review.tables import (
    aligned,
    brief_rows,
    explanation,
    markdown_table,
    numeric_columns,
    summary,
    to_csv,
    to_latex,
    to_markdown,
    to_text,
)
from tests.review.made_rows import COST, made_row, made_scores

FINISHED = {"finished": 1}


def test_an_empty_board_says_so_in_every_form() -> None:
    board = Board([], {})
    assert to_text(board) == "No runs."
    assert "No runs." in to_markdown(board)
    assert "tabular" not in to_latex(board)
    assert len(to_csv(board).splitlines()) == 1


def test_the_terminal_has_a_titled_table_per_protocol_and_a_summary() -> None:
    board = Board([made_row(), made_row(protocol="coco/5k")], {"failed": 1, "finished": 2})
    first, second, last = to_text(board).split("\n\n")
    assert first.startswith("Protocol split/test, data aaaaaaaaaaaa\n#  method")
    assert second.startswith("Protocol coco/5k")
    assert " c0ffee1" in first and "10.0 / 20.0 / 30.0" in first
    assert last == "3 runs: 1 failed, 2 finished; only finished runs are ranked."


def test_one_finished_run_is_one_run() -> None:
    assert summary(Board([made_row()], FINISHED)) == "1 run: 1 finished."


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    lines = [["n", "word"], ["7", "x"], ["10", "longer"]]
    assert numeric_columns(lines) == [True, False]
    assert aligned(lines).splitlines() == [" n  word", "--  ------", " 7  x", "10  longer"]
    assert markdown_table(lines).splitlines()[1] == "| ---: | --- |"


def test_a_bar_or_a_line_break_cannot_leave_its_cell_in_markdown() -> None:
    table = markdown_table([["a"], ["x|y\nz"]])
    assert table.splitlines() == ["| a |", "| --- |", r"| x\|y z |"]


def test_latex_has_a_booktabs_table_of_the_rows_on_the_main_split() -> None:
    rows = [made_row(rank=1), made_row(rank=2, test=made_scores(310.0, 2.0), runs=["a_1", "b"])]
    lines = to_latex(Board(rows, FINISHED)).splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert lines[2] == r"\begin{tabular}{rlrrrrrl}"
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    (body,) = [line for line in lines if "DVSE" in line]
    assert body.startswith("1 & DVSE & 4 & 10.0 / 20.0 / 30.0 & 40.0 / 50.0 / 60.0 & ")
    assert body.endswith(r"310.0 $\pm$ 2.0 &  & a\_1 and 1 more \\")


def test_brief_rows_are_those_of_the_main_split_ranked_without_gaps() -> None:
    tested = [made_row(rank=rank, test=made_scores(300.0 + rank)) for rank in (2, 5)]
    assert [row.rank for row in brief_rows([made_row(rank=1), *tested])] == [1, 2]
    assert [row.rank for row in brief_rows([made_row(rank=1), made_row(rank=2)])] == [1, 2]  # validation alone
    assert len(brief_rows([made_row(val=made_scores(None))])) == 1


def test_a_protocols_name_cannot_break_out_of_a_latex_comment() -> None:
    lines = to_latex(Board([made_row(protocol="x\n\\input{y}")], FINISHED)).splitlines()
    assert not [line for line in lines if line.startswith("\\input")]


def test_csv_comes_back_as_it_was_written() -> None:
    rows = [
        made_row(runs=['odd, "name"', "b"], seeds=[0, 1]),
        made_row(comparison=Comparison(1, "val", -0.1, -0.2, 0.0, 1.0)),
    ]
    first, second = csv.DictReader(io.StringIO(to_csv(Board(rows, FINISHED))))
    assert float(first["val/rsum"]) == 300.0
    assert (first["runs"], first["seeds"], first["transductive"]) == ('odd, "name" b', "0 1", "False")
    assert first["val/rsum_sd"] == first["first"] == first["test/rsum"] == ""
    assert (second["first"], second["first_split"], float(second["first_low"])) == ("1", "val", -0.2)


def test_losses_and_money_are_explained_where_they_are_shown() -> None:
    plain = Board([made_row()], FINISHED)
    assert "Lost seconds" not in explanation(plain) and "oney" not in to_markdown(plain)
    costly = replace(COST, lost_seconds=50.0, money=0.008, currency="EUR")
    text = to_markdown(Board([made_row(cost=costly)], FINISHED))
    assert "| lost s | money |" in text and "| 50 | 0.01 EUR |" in text
    assert "Lost seconds are" in text and "Money is" in text


def test_a_hostile_name_stays_in_its_cell_in_every_form() -> None:
    name = "=1+1|[x](http://evil)<script>\x1b[31m\r\n%_\u202e"
    row = made_row(runs=[name], settings=[name], protocol=name, experiment=name)
    board = Board([row], {name: 1})
    text, page, tex = to_text(board), to_markdown(board), to_latex(board)
    for form in (text, page, tex, to_csv(board)):
        assert not {"\x1b", "\u202e", "\r"} & set(form.replace("\r\n", ""))
    assert len(text.splitlines()) == 6
    assert "<script>" not in page.replace("\\<script>", "") and "](http" not in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"(?<!\\)[%_]", "".join(line for line in tex.splitlines() if "script" in line).lstrip("% "))
    (read,) = csv.DictReader(io.StringIO(to_csv(board)))
    assert read["experiment"].startswith("'=1+1") and read["protocol"].startswith("'=") and read["runs"][0] == "'"
