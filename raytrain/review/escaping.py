"""Text of runs as each form of the leaderboard writes it, so that no name is taken for an instruction.

One function per form; HTML's is the template engine's own (raytrain/review/rendering.py). Names of runs, methods and
experiments come from files that anyone may have written.
"""

from __future__ import annotations

import re
import unicodedata

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$", "|": r"\textbar{}",
}  # fmt: skip
FORMULA = re.compile(r"^\s*[=+\-@＝＋－＠]")
"""How a cell begins that a spreadsheet would compute."""
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode categories of what moves the cursor, turns the direction of writing, or is not shown."""
_MARKDOWN = re.compile(
    r"""[\\|`*~$]            # escapes, cells, code, emphasis, mathematics
    | <(?=\S)                # tags and addresses; "p < 0.001" is neither
    | &(?=\#?\w+;)           # entities
    | (?<=\])[(\[]           # the address of a link or picture
    | (?<![^\W_])_|_(?![^\W_])  # emphasis; not within a word
    | :(?=//)|(?<=www)\.     # addresses that become links by themselves
    """,
    re.VERBOSE | re.IGNORECASE,
)


def plain(text: str) -> str:
    """The text on one line, with what a terminal would obey or hide written as an escape."""
    line = " ".join(text.split())
    return "".join(_escaped(sign) if unicodedata.category(sign) in _UNSEEN else sign for sign in line)


def _escaped(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"


def markdown(text: str) -> str:
    """The text as it is in a cell or a line of Markdown."""
    return _MARKDOWN.sub(lambda match: f"\\{match.group()}", plain(text))


def latex(text: str) -> str:
    """The text with LaTeX's signs escaped."""
    return "".join(LATEX.get(sign, sign) for sign in plain(text))


def csv_value(value: object) -> object:
    """A value of a CSV file: None is empty, parts are joined by spaces, and text never begins as a formula does."""
    if value is None:
        return ""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    if isinstance(value, dict):
        value = " ".join(f"{name}={part:.4g}" for name, part in value.items())
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if FORMULA.match(text) else text
