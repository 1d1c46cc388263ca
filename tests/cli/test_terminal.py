from __future__ import annotations

import io
import re
import sys
from typing import TextIO, cast

import pytest

from raytrain.cli.terminal import Printable, print_columns, print_error

LONG = "/data/[bold]runs[/bold]/:smile:/" + "x" * 200 + " is no run\nsecond line"
ROWS = [("dvse", "K views " * 20), ("vse_infinity", "one vector [per image]")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen_of(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What stdout and stderr are from here on: 80 columns of a terminal, or a file."""
    screen = Terminal() if terminal else io.StringIO()
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("terminal", [False, True])
def test_an_error_is_printed_as_it_is(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(terminal, monkeypatch)
    print_error("raytrain train", LONG)
    assert without_styles(screen.getvalue()) == f"raytrain train: {LONG}\n"
    assert ("\x1b[" in screen.getvalue()) == terminal


def test_columns_are_aligned_and_whole_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(False, monkeypatch)
    print_columns(ROWS)
    assert screen.getvalue().splitlines() == [
        f"dvse          {'K views ' * 20}".rstrip(), "vse_infinity  one vector [per image]",
    ]  # fmt: skip


def test_columns_fit_a_terminal_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(True, monkeypatch)
    print_columns(ROWS)
    lines = without_styles(screen.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).split() == " ".join(" ".join(row) for row in ROWS).split()


def test_no_rows_print_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(False, monkeypatch)
    print_columns([])
    assert screen.getvalue() == ""


def test_nothing_but_text_and_styles_reaches_a_terminal() -> None:
    class Screen(io.StringIO):
        def __init__(self, is_terminal: bool, encoding: str) -> None:
            super().__init__()
            self.is_terminal, self.of_screen = is_terminal, encoding

        def isatty(self) -> bool:
            return self.is_terminal

        @property
        def encoding(self) -> str:  # type: ignore[override]
            return self.of_screen

    hostile = "\x1b[1mbold\x1b[0m \x1b]0;title\x07 caf\u00e9\n"
    for is_terminal, encoding, shown in (
        (True, "utf-8", "\x1b[1mbold\x1b[0m \\x1b]0;title\\x07 caf\u00e9\n"),
        (False, "utf-8", "\\x1b[1mbold\\x1b[0m \\x1b]0;title\\x07 caf\u00e9\n"),
        (False, "ascii", "\\x1b[1mbold\\x1b[0m \\x1b]0;title\\x07 caf\\xe9\n"),
    ):
        screen = Screen(is_terminal, encoding)
        print(hostile, end="", file=cast(TextIO, Printable(screen)))
        assert screen.getvalue() == shown
