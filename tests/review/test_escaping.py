"""Text of runs in each form: what a terminal, a spreadsheet, Markdown or LaTeX would obey is shown instead."""

from __future__ import annotations

import csv
import io

import pytest

from raytrain.review.escaping import csv_value, latex, markdown, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("346.6 ± 4.2", "346.6 ± 4.2"),
        ("a\tb\n c\r", "a b c"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\u202eb\u200bc\ufeff", r"a\u202eb\u200bc\ufeff"),
        ("\x00\x08\x7f", r"\x00\x08\x7f"),
        ("\ud800", r"\ud800"),
        ("\u2028x\u2029", "x"),
        ("Übung 図", "Übung 図"),
    ],
)
def test_a_terminal_obeys_nothing(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("x|y\nz", r"x\|y z"),
        ("[a](http://b)", r"[a]\(http\://b)"),
        ("![a](javascript:x)", r"![a]\(javascript:x)"),
        ("[a][b]", r"[a]\[b]"),
        ("<http://b>", r"\<http\://b>"),
        ("WWW.b.org", r"WWW\.b.org"),
        ("**a** `b` ~~c~~ $d$ \\", r"\*\*a\*\* \`b\` \~\~c\~\~ \$d\$ \\"),
        ("_a_ b_c_d", r"\_a\_ b_c_d"),
        ("&lt;b&#62; a & b", r"\&lt;b\&#62; a & b"),
        ("-3.2 [-5.9, -0.4] p < 0.001", "-3.2 [-5.9, -0.4] p < 0.001"),
        ("dvse-s0 and 2 more", "dvse-s0 and 2 more"),
        ("\x1b[0m", r"\\x1b[0m"),
    ],
)
def test_markdown_shows_the_text(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("50 % & more", r"50 \% \& more"),
        ("a_b#1", r"a\_b\#1"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("346.6 ± 4.2", r"346.6 $\pm$ 4.2"),
        ("p < 0.001", r"p $<$ 0.001"),
        ("~$^\n|", r"\textasciitilde{}\$\textasciicircum{} \textbar{}"),
        ("\x1b", r"\textbackslash{}x1b"),
    ],
)
def test_latex_signs_are_escaped(text: str, shown: str) -> None:
    assert latex(text) == shown


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "=cmd|'/c calc'!A0", "'=1"]
)
def test_no_text_of_a_csv_file_is_a_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([csv_value(text), csv_value([text, "b"])])
    assert all(cell.startswith("'") for cell in next(csv.reader(io.StringIO(out.getvalue()))))


def test_numbers_and_lists_of_a_csv_file_are_as_they_are() -> None:
    assert [csv_value(value) for value in (-1.5, 3, None, True, [0, 1], "dvse-s0")] == [
        -1.5, 3, "", True, "0 1", "dvse-s0",
    ]  # fmt: skip
