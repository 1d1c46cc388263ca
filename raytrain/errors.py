"""What goes wrong, in the words of the person at the keyboard, each with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a data set: where it is, what it is and what to do.

    Args:
        file: the file it was found in, as the user named it.
        row: line (1-based, text files) or row (0-based, arrays and lists); None where the whole file is meant.
        what: what was found and what was expected.
        fix: what to do about it.
        more: how many further places have the same problem.
        level: "error", or "warning" of what may well be right.
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
        return f"{'warning: ' if self.level == 'warning' else ''}{place}: {self.what}{more}. {self.fix}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence on a name that does not exist: "; did you mean 'lr'?", or "." where no name is close."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{close[0]}'?" if close else "."


def no_such_name(kind: str, name: str, names: Iterable[str]) -> str:
    """ "no recipe 'x'; did you mean 'y'? Recipes: y, z." of a name that is none of `names`."""
    names = list(names)
    plural = f"{kind[:1].upper()}{kind[1:]}s"
    return f"no {kind} '{name}'{did_you_mean(name, names)} {plural}: {', '.join(names) or 'none'}."


class RaytrainError(Exception):
    """Base of every error that is the user's to read; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(RaytrainError, ValueError):
    """A wrong name, value or combination in a command or a config."""

    exit_code = 2


class DataError(RaytrainError, ValueError):
    """Bad data; lists every problem found, not only the first."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[DataError], tuple[list[Problem]]]:
        """Its problems, which a worker's error brings to the driver; an exception's own way keeps only the message."""
        return type(self), (self.problems,)


class RefusedError(RaytrainError):
    """Something we will not do: opening the test split in training, comparing different data, an open cluster."""

    exit_code = 4


class NonFiniteError(RaytrainError):
    """A loss term or gradient became NaN or infinite; names the step and the term."""


class OutOfMemory(RaytrainError):
    """A run needs more memory than its worker may take; going on from a checkpoint would only meet the limit again."""


class Interrupted(RaytrainError):
    """The work stopped in the middle and the same command goes on with it: asked to stop, or the world failed it."""

    exit_code = 75


class Stopped(RaytrainError):
    """Whoever follows the run has seen enough of it, an early stop; the run's end is theirs to write."""


class DiskFullError(Interrupted):
    """A disk or a quota is full; names the folder and what is missing. What was complete before is as it was."""
