"""Errors of trials, as their results carry them from the process of a trial to that of the sweep.

Tune hands a scheduler no error, but the names of files that hold it as text for people and as a pickle, and we load no
pickles. So a trial reports its error before it raises it, or ends with that report.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raytrain import errors
from raytrain.errors import Interrupted, RefusedError
from raytrain.sweeps.objectives import COSTS

KIND, MESSAGE = "error_kind", "error_message"


@dataclass(frozen=True)
class TrialError:
    """An error without its traceback, which would hold the run's memory.

    Args:
        kind: name of its class.
        message: its text.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> TrialError:
        return cls(type(error).__name__, str(error))

    @classmethod
    def reported_in(cls, result: Mapping[str, Any] | None) -> TrialError | None:
        """The error that a result of Tune's carries; None of a result with values."""
        if not result or KIND not in result:
            return None
        return cls(str(result[KIND]), str(result[MESSAGE]))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    def report(self, epoch: int, done: bool) -> None:
        """Report the error to Tune, from the process of the trial, without any values.

        Args:
            epoch: epochs done.
            done: whether the trial ends with this, and is not tried again.
        """
        from ray import tune

        no_values = dict.fromkeys(("best", *COSTS.values()), math.nan)
        result = {**no_values, "epoch": max(1, epoch), KIND: self.kind, MESSAGE: self.message}
        tune.report({**result, "done": True} if done else result)

    def fatal(self) -> RefusedError | Interrupted | None:
        """The error again, where it ends the whole sweep: a refusal, or an interruption such as a full disk."""
        kind = getattr(errors, self.kind, None)
        if isinstance(kind, type) and issubclass(kind, (RefusedError, Interrupted)):
            return kind(self.message)
        return None
