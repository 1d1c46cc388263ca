"""Starting Ray on a busy machine: its own time-out is met with another try."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from raytrain.errors import RaytrainError, argument
from raytrain.progress import say

Given = ParamSpec("Given")
Result = TypeVar("Result")
TRIES = 3
_TIMED_OUT = re.compile(r"tim(ed|e)[ -]?out", re.IGNORECASE)


def patient(start: Callable[Given, Result]) -> Callable[Given, Result]:
    """The function, which starts Ray, called up to TRIES times while Ray times out.

    Ray waits half a minute for its own processes, which cannot be changed. What a busy machine has read from its disk
    once it has in memory the next time. Where every try times out, a RaytrainError says so; other errors go through.
    """

    @functools.wraps(start)
    def started(*given: Given.args, **named: Given.kwargs) -> Result:
        for number in range(1, TRIES + 1):
            try:
                return start(*given, **named)
            except RaytrainError:
                raise
            except Exception as error:  # Ray raises a bare Exception
                if not _TIMED_OUT.search(str(error)):
                    raise
                import ray

                ray.shutdown()
                if number == TRIES:
                    reason = " ".join(str(error).split())
                    raise RaytrainError(
                        f"Ray did not start on this machine in {TRIES} tries ({reason:.200}). Give the command again "
                        "once fewer processes run here, or start a cluster (`ray start --head`) and name it by "
                        f"{argument('address', 'auto')}"
                    ) from error
                say(f"Ray did not start in time; try {number + 1} of {TRIES}")
        raise AssertionError("the last try returns or raises")

    return started
