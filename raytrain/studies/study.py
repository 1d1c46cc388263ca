"""A study: one question of a paper or its readers, as variants of a run that are compared over seeds."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raytrain.config import RunConfig
from raytrain.errors import UsageError, no_such_name

Changes = Mapping[str, Any]
"""{dotted name of RunConfig: value}."""


@dataclass(frozen=True)
class Reference:
    """A function that is imported when it is called, so that reading a study imports no torch.

    Args:
        function: "package.module:function"; its first argument is a `raytrain.studies.measured_run.MeasuredRun`.
        options: its further arguments.
    """

    function: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, run: Any) -> Any:
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(run, **self.options)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{name}={value}' for name, value in self.options.items())})"


@dataclass(frozen=True)
class Level:
    """One value of a factor.

    Args:
        changes: of the recipe.
        answers: gives the ranks of a trained run, as `raytrain.evaluation.significance.Ranks`; None takes those of its
            validation. A level without changes takes the runs of the baseline and measures them in another way.
        number: its place on the axis of the plot; None puts the levels beside each other.
    """

    changes: Changes = field(default_factory=dict)
    answers: Reference | None = None
    number: float | None = None


Levels = Mapping[str, Level]


@dataclass(frozen=True)
class Factor:
    """What a study varies.

    Args:
        title: as the axis of the plot is named.
        levels: {label: level}, or a function that makes them from the recipe.
        log: whether the axis is logarithmic.
    """

    title: str
    levels: Levels | Callable[[RunConfig], Levels]
    log: bool = False

    def levels_of(self, recipe: RunConfig) -> Levels:
        return self.levels(recipe) if callable(self.levels) else self.levels


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Args:
        name: of a recall or rsum ("i2t/recall_at_1", "recall_at_10", "rsum"), which is compared query by query; of a
            metric of the run's best epoch in its journal ("val/map_at_r", "diagnostics/set_cosine"), or any other name
            where `of` is given. What is no recall is compared over seeds alone.
        title: as tables show it.
        of: a function that returns the number; None for recalls and for metrics of the journal.
        digits: after the point.
    """

    name: str
    title: str
    of: Reference | None = None
    digits: int = 1

    @property
    def is_recall(self) -> bool:
        """Whether it is computed from ranks, so that it can be compared query by query."""
        return self.of is None and (self.name == "rsum" or self.name.rpartition("/")[2].startswith("recall_at_"))


@dataclass(frozen=True)
class Claim:
    """Something that the paper says, as an order of a variant and another one.

    Args:
        sentence: what is claimed.
        variant: name of the variant.
        measure: name of the measure.
        expected: where the variant stands: below or above the other one, or equal to it in every run.
        against: name of the other variant; None is the baseline.
    """

    sentence: str
    variant: str
    measure: str
    expected: Literal["below", "above", "equal"]
    against: str | None = None


@dataclass(frozen=True)
class Variant:
    """A combination of one level per factor.

    Args:
        name: labels of its levels, with commas between.
        labels: of its levels, in the order of the factors.
        changes: of the recipe.
        answers: as of `Level`.
        number: of the first factor's level, as of `Level`.
    """

    name: str
    labels: tuple[str, ...]
    changes: Changes
    answers: Reference | None
    number: float | None


@dataclass(frozen=True)
class Study:
    """A question, and what decides it.

    Args:
        question: in a sentence.
        paper: what the paper reports, in words.
        factors: one or two; every combination of their levels is a variant.
        baseline: name of the variant that the others are compared with.
        measures: the first is drawn first.
        claims: what the paper says, as far as this study can decide it; () of a question that it leaves open.
        methods: kinds of methods whose recipes it takes; () takes every recipe.
        setup: changes of the recipe in all variants.
        published: {variant: {measure: value}}, shown beside ours; other data and other budgets.
        best_of: {name: names of variants that differ in a setting to be tuned}; the one with the best mean of the
            first measure is a further row of the report under this name, which baseline and claims may give.
        drawn: names of the measures with a plot; () draws the first alone.
        scatter: names of two measures that are drawn against each other over all runs, with their rank correlation.
        notes: paragraphs of the report: how a measure is taken, or a proof.
        maps: functions of a run that return a `raytrain.studies.examples.PointMap` or None; drawn of the first seed of
            every variant.
        examples: a function of a run that returns `raytrain.studies.examples.Example`s; shown of the baseline's first
            seed.
    """

    question: str
    paper: str
    factors: Sequence[Factor]
    baseline: str
    measures: Sequence[Measure]
    claims: Sequence[Claim] = ()
    methods: Sequence[str] = ()
    setup: Changes = field(default_factory=dict)
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    best_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drawn: Sequence[str] = ()
    scatter: tuple[str, str] | None = None
    notes: Sequence[str] = ()
    maps: Sequence[Reference] = ()
    examples: Reference | None = None

    def variants(self, recipe: RunConfig) -> list[Variant]:
        """Every combination of levels, in the order of the factors.

        Raises:
            UsageError: the study is not of the recipe's method, or the baseline or a claim names no variant.
        """
        if self.methods and recipe.method.kind not in self.methods:
            raise UsageError(
                f"this study is of {', '.join(self.methods)}; the recipe trains {recipe.method.kind}: give another one"
            )
        variants = []
        for combination in itertools.product(*(factor.levels_of(recipe).items() for factor in self.factors)):
            labels = tuple(label for label, _ in combination)
            changes = {name: value for _, level in combination for name, value in level.changes.items()}
            answers = [level.answers for _, level in combination if level.answers is not None]
            variants.append(
                Variant(
                    ", ".join(labels),
                    labels,
                    {**self.setup, **changes},
                    answers[-1] if answers else None,
                    combination[0][1].number,
                )
            )
        names = [variant.name for variant in variants]
        for member in itertools.chain.from_iterable(self.best_of.values()):
            if member not in names:
                raise UsageError(no_such_name("variant", member, names))
        names += self.best_of
        for name in (self.baseline, *(name for claim in self.claims for name in (claim.variant, claim.against))):
            if name is not None and name not in names:
                raise UsageError(no_such_name("variant", name, names))
        return variants

    def measure(self, name: str) -> Measure:
        """The measure of a name."""
        by_name = {measure.name: measure for measure in self.measures}
        if name not in by_name:
            raise UsageError(no_such_name("measure", name, list(by_name)))
        return by_name[name]


def settings(field_name: str, values: Sequence[Any], label: str = "{}") -> dict[str, Level]:
    """Levels that set one field: {label with the value in it: level}; numbers are their own place on the axis."""
    return {
        label.format(value): Level(
            {field_name: value},
            number=float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None,
        )
        for value in values
    }
