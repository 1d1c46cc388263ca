"""Runs opened to be evaluated: their facts, and what an ensemble has no single one of."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.run_evaluation.ensemble import ensemble_runs
from raytrain.run_evaluation.opened_run import open_for_evaluation
from raytrain.tracking.run_record import read_run


def test_a_trained_run_has_one_model_and_the_facts_of_its_best_checkpoint(copies: tuple[Path, Path]) -> None:
    run = open_for_evaluation(copies[0], "val")
    assert run.only_model("anything") is run.models[0] and run.ensemble is None
    facts = run.count_openings("split/val")
    assert facts["checkpoint"] == run.models[0].saved.path.name
    assert (facts["uid"], facts["test_openings"]) == (read_run(copies[0]).uid, 0)


def test_an_ensemble_has_the_models_of_its_members_in_their_order(copies: tuple[Path, Path]) -> None:
    run = open_for_evaluation(ensemble_runs(copies, name="both")["run"], "val")
    assert [type(each.model).__name__ for each in run.models] == ["DVSE", "VSEInfinity"]
    with pytest.raises(UsageError, match="banks: both is an ensemble"):
        run.only_model("banks")


def test_a_checkpoint_is_no_run(copies: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="is a checkpoint; give its run"):
        open_for_evaluation(next(copies[0].glob("checkpoint_*")), "val")
