"""Studies in the test's own process: Tune is a loop here, and trials train with `fit`, one step each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.config import RunConfig, override
from raytrain.studies import STUDIES
from raytrain.studies.study import Claim, Factor, Measure, Study, settings
from raytrain.sweeps.ledger import Ledger
from raytrain.sweeps.trial import TrialJob
from raytrain.training.run import train
from tests.runs import small_run

TRAINED: list[str] = []
"""Names of the runs that `trials_here` trained, in order."""


def margins() -> Study:
    """Two margins, of which the first is the recipe's own."""
    return Study(
        question="Does the margin matter?",
        paper="A smaller margin is worse.",
        factors=[Factor("margin", settings("method.margin", (0.2, 0.1), "margin {}"))],
        baseline="margin 0.2",
        measures=[Measure("rsum", "rsum"), Measure("diagnostics/set_cosine", "overlap", digits=3)],
        claims=[Claim("0.1 falls behind 0.2.", "margin 0.1", "rsum", "below")],
        methods=("dvse",),
        drawn=("rsum", "diagnostics/set_cosine"),
        scatter=("diagnostics/set_cosine", "rsum"),
        notes=["A note with <b>markup</b>."],
    )


def shared() -> Study:
    """The recipe's margin again, and another view count."""
    return Study(
        question="Do views matter?",
        paper="Not known.",
        factors=[Factor("K", settings("method.views", (2, 1), "K = {}"))],
        baseline="K = 2",
        measures=[Measure("rsum", "rsum")],
    )


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STUDIES, "margins", margins)
    monkeypatch.setitem(STUDIES, "shared", shared)


def trials_here(search: Any, scheduler: Any, ledger: Ledger, job: TrialJob, head: Any, samples: int) -> None:
    """In place of Tune."""
    for at in range(samples):
        suggested = search.suggest(f"trial{at}")
        if not isinstance(suggested, dict):
            return
        number, changes = suggested["number"], suggested["changes"]
        ledger.started(number, changes)
        config = job.config(number, changes)
        TRAINED.append(config.name)
        train(config, parent=job.parent)
        ledger.ended(number, changes)
        search.on_trial_complete(f"trial{at}")


def recipe(root: Path) -> RunConfig:
    """A run of one step."""
    return override(small_run(root), {"optim.max_steps": 1, "optim.num_epochs": 1})
