"""`raytrain.leaderboard`: recorded runs, ranked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from raytrain.api.outside_errors import public_call
from raytrain.progress import Listener

if TYPE_CHECKING:
    from raytrain.review.write import Leaderboard


def leaderboard(
    storage: str | os.PathLike[str] = "runs",
    experiment: str | None = None,
    *,
    prices: str | None = None,
    progress: Listener | None = None,
) -> Leaderboard:
    """Rank the recorded runs of a storage; `pandas.DataFrame(leaderboard().rows)` is a table of them.

    Reads journals and evaluation files alone, and writes nothing until `Leaderboard.write` is called.

    Args:
        storage: folder that holds experiments.
        experiment: one of them; None takes all.
        prices: price table; None takes prices.yaml of the storage, where there is one.
        progress: called with a `ProgressEvent` per piece of news; None is silent.

    Returns:
        rows, counts, and what was left out.

    Raises:
        UsageError: no such storage or experiment, or a price table that cannot be read.
        RaytrainError: the storage cannot be read.
    """
    from raytrain.review.prices import prices_of
    from raytrain.review.write import read_leaderboard

    with public_call(progress):
        return read_leaderboard(storage, experiment, prices_of(storage, prices))
