"""A searcher of Ray Tune that draws nothing: it hands out trials that are given, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.sweeps.capacity import Capacity

Trial = tuple[int, Mapping[str, Any]]
"""Number, and changes of the recipe."""


def given_trials(trials: Sequence[Trial], capacity: Capacity) -> Any:
    """The searcher. It suggests nothing while the cluster has no room, and nothing any more once a budget is spent.

    Args:
        trials: to hand out.
        capacity: says when another one may start.
    """
    from ray.tune.search import Searcher

    class GivenTrials(Searcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(metric="best", mode="max")
            self.waiting, self.running = list(trials), set[str]()

        def suggest(self, trial_id: str) -> Any:
            if not self.waiting or capacity.spent():
                return Searcher.FINISHED
            if len(self.running) >= capacity.room():
                return None
            self.running.add(trial_id)
            number, changes = self.waiting.pop(0)
            return {"number": number, "changes": dict(changes)}

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            self.running.discard(trial_id)

        def save(self, checkpoint_path: str) -> None:
            """Tune saves its searchers for a restoration of its own, which never happens."""
            Path(checkpoint_path).touch()

    return GivenTrials()
