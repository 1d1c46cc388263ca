"""Errors shown to the user, each with the exit code that the command line returns for it."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Literal

# what moves a terminal's cursor, changes its state, turns the direction of text, or cannot be encoded
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text for a terminal or a log: control characters as \x1b, \u202e and so on; tabs and line ends stay."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True)
class Problem:
    """One problem of a data set: its place, what is wrong and what to do.

    Args:
        file: the file with the problem, as the user named it.
        row: line (1-based, text files) or row (0-based, arrays and lists); None for the whole file.
        what: what is wrong and what was expected.
        fix: what to do about it.
        more: number of further places with the same problem.
        level: "error", or "warning" for something that may be intended.
    """

    file: str
    row: int | None
    what: str
    fix: str
    more: int = 0
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        more = f" (and {self.more} more like it)" if self.more else ""
        line = f"{'warning: ' if self.level == 'warning' else ''}{place}: {self.what}{more}. {self.fix}"
        return printable(line).replace("\n", "\\n")  # what a file holds never starts a line of its own

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """The problems without repetitions, in their order: a file may be read more than once."""
    return list(dict.fromkeys(problems))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence on a name that does not exist: "; did you mean 'lr'?", or "." where no name is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else "."


def no_such_name(kind: str, name: str, names: Iterable[str]) -> str:
    """ "no recipe 'x'; did you mean 'y'? Recipes: y, z." of a name that is none of `names`."""
    names = list(names)
    singular = f"{kind[:1].upper()}{kind[1:]}"
    plural = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
    return f"no {kind} '{name}'{did_you_mean(name, names)} {plural}: {', '.join(names) or 'none'}."


def pip_install(extra: str) -> str:
    """The end of a sentence on a package that is not installed: `pip install "raytrain[mlflow]"`.

    Args:
        extra: of pyproject.toml that brings it.
    """
    return f'pip install "raytrain[{extra}]"'


_names_flags: ContextVar[bool] = ContextVar("_names_flags", default=False)
"""Whether the caller is a command, whose flags messages name."""


@contextlib.contextmanager
def naming_flags() -> Iterator[None]:
    """Inside, `argument` names flags of a command; elsewhere arguments of a call from Python."""
    token = _names_flags.set(True)
    try:
        yield
    finally:
        _names_flags.reset(token)


def argument(name: str, value: object = None, *, flag: str | None = None) -> str:
    """What the caller gives, in words of the caller: `--trials 0` of a command, `trials=0` of a call from Python.

    Args:
        name: of the argument.
        value: it stands behind the name; None leaves it out, and a flag of a bool has none.
        flag: of the command, where it is not the argument's name.
    """
    if _names_flags.get():
        words = flag or f"--{name.replace('_', '-')}"
        return words if value is None or isinstance(value, bool) else f"{words} {shlex.quote(str(value))}"
    if value is None:
        return name
    return f"{name}={value if isinstance(value, (bool, int, float)) else json.dumps(str(value), ensure_ascii=False)}"


class RaytrainError(Exception):
    """Base of all errors shown to the user; `exit_code` is what the command line returns."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(RaytrainError, ValueError):
    """A wrong name, value or combination in a command or a config."""

    exit_code = 2


class DataError(RaytrainError, ValueError):
    """Bad data; `problems` lists all of them, not only the first."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[DataError], tuple[list[Problem]]]:
        """Pickles the problems, which travel from a worker to the driver; the default would keep only the message."""
        return type(self), (self.problems,)


class RefusedError(RaytrainError):
    """A refused request: the test split during training, a comparison of different data, an open cluster."""

    exit_code = 4


class TrackingError(RaytrainError):
    """MLflow's store cannot be used. Runs never end by it: they go on, and their journals keep everything."""


class NonFiniteError(RaytrainError):
    """A loss term or gradient became NaN or infinite; the message names the step and the term."""


class OutOfMemory(RaytrainError):
    """A run needs more memory than its worker may take; resuming from a checkpoint would reach the limit again."""


class Interrupted(RaytrainError):
    """The work stopped before its end, on request or by an outside failure; the same command continues it."""

    exit_code = 75


class Stopped(RaytrainError):
    """The follower of a run stops it early; the follower, not the run, writes the end of its journal."""


class DiskFullError(Interrupted):
    """A disk or a quota is full; the message names the folder and the missing space. Complete files are unchanged."""
