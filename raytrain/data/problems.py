"""Collects what is wrong with a data set, so that everything is said at once and nothing a thousand times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from raytrain.errors import DataError, Problem


class Problems:
    """Problems by kind; of each kind the first `keep` are listed and the rest counted in the last one's `more`."""

    def __init__(self, keep: int = 20) -> None:
        self.keep = keep
        self.counts: Counter[str] = Counter()
        self._listed: dict[str, list[Problem]] = {}

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, kind: str, problem: Problem) -> None:
        """`kind` groups problems that differ only in their place; it is never shown."""
        self.counts[kind] += 1
        listed = self._listed.setdefault(kind, [])
        if len(listed) < self.keep:
            listed.append(problem)
        else:
            listed[-1] = replace(listed[-1], more=listed[-1].more + 1)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Problems that another collection has listed, each as it is."""
        for problem in problems:
            self.add(f"{len(self._listed)} listed before", problem)

    def list(self) -> list[Problem]:
        return [problem for listed in self._listed.values() for problem in listed]

    def raise_if_any(self) -> None:
        """Raises DataError with all of them."""
        if self.counts:
            raise DataError(self.list())
