"""A collection of data problems, reported together; repeats of one kind are counted instead of listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from raytrain.errors import DataError, Problem


class Problems:
    """Problems by kind: the first `keep` of each kind are listed, the rest counted in the last one's `more`."""

    def __init__(self, keep: int = 20) -> None:
        self.keep = keep
        self.counts: Counter[str] = Counter()
        self._listed: dict[str, list[Problem]] = {}

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, kind: str, problem: Problem) -> None:
        """Adds a problem; `kind` groups problems that differ only in their place and is never shown."""
        self.counts[kind] += 1
        listed = self._listed.setdefault(kind, [])
        if len(listed) < self.keep:
            listed.append(problem)
        else:
            listed[-1] = replace(listed[-1], more=listed[-1].more + 1)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Adds problems that another collection has listed, unchanged."""
        for problem in problems:
            self.add(f"{len(self._listed)} listed before", problem)

    def list(self) -> list[Problem]:
        """The listed problems, grouped by kind in the order in which each kind first appeared."""
        return [problem for listed in self._listed.values() for problem in listed]

    def raise_if_any(self) -> None:
        """Raises DataError with all listed problems if there is any."""
        if self.counts:
            raise DataError(self.list())
