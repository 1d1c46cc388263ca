"""The guard of the test split: only final evaluation may read it, and nothing may while a run trains."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from raytrain.errors import RefusedError

OPENINGS = "test_openings.jsonl"
"""File of a table in which `raytrain evaluate` counts openings of its test split."""
VARIABLE = "RAYTRAIN_TRAINING"
"""Environment variable that closes the test split in this process and its children; its value says what trains."""


@contextlib.contextmanager
def closed_while(what: str) -> Iterator[None]:
    """Closes the test split inside the body, for all code of this process and for the commands that it starts.

    It protects against mistakes; code that wants to cheat can undo it, as it can read the files.

    Args:
        what: what trains, in words.
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
    """Raises RefusedError for the test split if something trains here, or without `allow_test`."""
    if split != "test":
        return
    if what := os.environ.get(VARIABLE):
        raise RefusedError(
            f"the test split is closed while {what} trains, to its own code and to all that it starts; evaluate when "
            "it has ended"
        )
    if not allow_test:
        raise RefusedError("the test split opens only to `raytrain evaluate --split test`")
