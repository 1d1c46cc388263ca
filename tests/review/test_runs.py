"""Runs as their folders show them: the best epoch, how they ended, which evaluation is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.accounting import read_journals
from raytrain.review.runs import runs_of
from raytrain.tracking.journal import Journal
from tests.review.made_runs import make_run


def test_metrics_are_those_of_the_epoch_that_validation_selects(tmp_path: Path) -> None:
    metrics = make_run(tmp_path / "e" / "a")  # its second epoch of three is the best
    (run,) = runs_of(read_journals(tmp_path))
    assert run.val == pytest.approx(metrics)
    assert (run.record.best_step, run.epochs, run.usage.worker_seconds) == (2, 3, 30.0)


def test_another_metric_selects_another_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, **{"evaluation.select": "val/t2i/recall_at_1"})
    Journal(folder).write("epoch", epoch=4, step=44, metrics={"val/t2i/recall_at_1": 100.0, "val/rsum": 1.0})
    (run,) = runs_of(read_journals(tmp_path))
    assert (run.record.best_step, run.val["rsum"]) == (44, 1.0)


@pytest.mark.parametrize("status", ["finished", "pruned", "failed", None])
def test_a_run_is_open_until_its_journal_ends(tmp_path: Path, status: str | None) -> None:
    make_run(tmp_path / "e" / "a", status=status)
    (run,) = runs_of(read_journals(tmp_path))
    assert run.status == (status or "open")


def test_a_run_without_an_epoch_has_no_metrics(tmp_path: Path) -> None:
    Journal(tmp_path / "e" / "a").write("start", uid="a", kind="run", config={})
    (run,) = runs_of(read_journals(tmp_path))
    assert (run.val, run.record.best_step, run.epochs, run.evaluations) == ({}, None, 0, [])
    assert (run.name, run.seed) == ("a", 0)


def test_sweeps_are_no_runs_and_other_experiments_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", name="shown")
    make_run(tmp_path / "other" / "b")
    Journal(tmp_path / "e" / "s").write("start", uid="s", kind="sweep", config={})
    assert [run.name for run in runs_of(read_journals(tmp_path, "e"))] == ["shown"]
    assert [run.name for run in runs_of(read_journals(tmp_path))] == ["shown", "b"]


def test_an_evaluation_is_of_this_protocol_way_of_re_ranking_checkpoint_and_data(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", temperatures=Temperatures("cross", 20.0, None))
    (run,) = runs_of(read_journals(tmp_path))
    plain, ranked = run.evaluation("split/test"), run.evaluation("split/test", "transductive")
    assert plain is not None and ranked is not None
    assert (plain["rerank"], ranked["rerank"]["i2t"]) == (None, 20.0)
    assert run.evaluation("split/test", "inductive") is None
    assert run.evaluation("coco/5k") is None
    make_run(tmp_path / "e" / "b", checkpoint="checkpoint_00000001")
    assert runs_of(read_journals(tmp_path))[1].evaluation("split/test") is None
