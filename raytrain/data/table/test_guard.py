"""Who may read the test split: final evaluation, and nobody while something trains, whatever it is asked with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from raytrain.errors import RefusedError

VARIABLE = "RAYTRAIN_TRAINING"
"""Environment variable that closes the test split, in this process and in those that it starts; says what trains."""


@contextlib.contextmanager
def closed_while(what: str) -> Iterator[None]:
    """Inside, the test split opens to nobody: not to this process's other code, nor to a command that it starts.

    It keeps choices honest where people are; code that means to cheat can undo it, as it can read the files.

    Args:
        what: that trains, in words.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = what
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def refuse_test(split: str, allow_test: bool = False) -> None:
    """Raises RefusedError: the split is test, and something trains here or the caller is no final evaluation."""
    if split != "test":
        return
    if what := os.environ.get(VARIABLE):
        raise RefusedError(
            f"the test split is closed while {what} trains, to its own code and to all that it starts; evaluate when "
            "it has ended"
        )
    if not allow_test:
        raise RefusedError("the test split opens only to `raytrain evaluate --split test`")
