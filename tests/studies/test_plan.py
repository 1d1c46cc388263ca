"""A plan has each run once, also where variants come to the same settings, and knows what the storage has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytrain.config import RunConfig, flatten, override
from raytrain.data.table import Table
from raytrain.errors import RefusedError
from raytrain.studies.plan import make_plan
from raytrain.studies.study import Factor, Level, settings
from raytrain.tracking.journal import Journal
from tests.studies.in_process import margins, recipe, shared


@pytest.fixture
def base(tmp_path: Path) -> RunConfig:
    return override(recipe(tmp_path), {"name": "study"})


def record(config: RunConfig, name: str, status: str | None = "finished") -> Journal:
    """Writes what training would."""
    journal = Journal(override(config, {"name": name}).folder)
    fingerprint = Table(config.data.table).fingerprint
    journal.write("start", uid=name, kind="run", config=flatten(config), fingerprint=fingerprint)
    journal.write("epoch", epoch=1, step=1, metrics={"val/rsum": 1.0})
    if status:
        journal.write("end", status=status, metrics={})
    return journal


def test_every_variant_gets_its_first_seed_before_any_gets_its_second(base: RunConfig) -> None:
    plan = make_plan(margins(), override(base, {"seed": 3}), 2)
    assert [run.uses[0] for run in plan.runs] == [
        ("margin 0.2", 3), ("margin 0.1", 3), ("margin 0.2", 4), ("margin 0.1", 4),
    ]  # fmt: skip
    assert plan.counts() == {"variants": 2, "seeds": 2, "runs": 4, "recorded": 0, "training": 0, "to_train": 4}
    assert plan.missing[1].changes == {"method.margin": 0.1, "seed": 3}


def test_variants_that_come_to_the_same_settings_share_a_run(base: RunConfig) -> None:
    levels = {"as it is": Level(), "written out": Level({"method.views": 2}), "one": Level({"method.views": 1})}
    study = replace(shared(), factors=[Factor("K", levels)], baseline="one")
    plan = make_plan(study, base, 1)
    assert [[name for name, _ in run.uses] for run in plan.runs] == [["as it is", "written out"], ["one"]]
    record(base, "there")
    assert {name: len(make_plan(study, base, 1).runs_of(name)) for name in levels} == {
        "as it is": 1, "written out": 1, "one": 0,
    }  # fmt: skip


def test_what_the_storage_has_or_another_process_trains_is_not_missing(base: RunConfig) -> None:
    record(override(base, {"method.margin": 0.1}), "finished")
    other = record(base, "other", None)
    plan = make_plan(margins(), base, 1)
    assert plan.counts() == {"variants": 2, "seeds": 1, "runs": 2, "recorded": 1, "training": 1, "to_train": 0}
    other.close()
    assert make_plan(margins(), base, 1).counts()["to_train"] == 1


def test_what_this_studys_own_killed_driver_left_behind_is_to_be_trained(base: RunConfig) -> None:
    journal = record(base, "study-t000", None)
    assert make_plan(margins(), base, 1).counts()["training"] == 0
    journal.close()


def test_a_variant_that_would_be_judged_on_something_else_is_refused(base: RunConfig) -> None:
    levels = settings("evaluation.select", ("val/rsum", "val/t2i/recall_at_1"))
    study = replace(shared(), factors=[Factor("judge", levels)], baseline="val/rsum")
    with pytest.raises(RefusedError, match=r"may not draw evaluation\.select"):
        make_plan(study, base, 1)
