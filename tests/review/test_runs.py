"""A run as a review sees it: its record, with its evaluations of the best checkpoint on its own data."""

from __future__ import annotations

import json
from pathlib import Path

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.runs import read_runs
from raytrain.tracking.journal import Journal
from tests.review.made_runs import make_run


def test_a_run_is_its_best_epoch_and_the_evaluations_of_that_checkpoint(tmp_path: Path) -> None:
    metrics = make_run(tmp_path / "e" / "a", seed=3, temperatures=Temperatures("cross", 20.0, None))
    make_run(tmp_path / "e" / "b", checkpoint="checkpoint_00000003", status=None)
    make_run(tmp_path / "other" / "c", test=None)
    first, second = read_runs(tmp_path, "e")
    assert (first.name, first.seed, first.status, first.epochs, first.record.best_step) == ("a", 3, "finished", 3, 2)
    assert first.val == metrics
    plain, reranked = first.evaluation("split/test"), first.evaluation("split/test", "transductive")
    assert plain is not None and reranked is not None
    assert plain["metrics"]["rsum"] != reranked["metrics"]["rsum"]
    assert first.evaluation("split/test", "inductive") is None
    assert second.status == "open"
    assert second.evaluation("split/test") is None  # of another checkpoint than the best
    assert [run.name for run in read_runs(tmp_path)] == ["a", "b", "c"]


def test_an_evaluation_on_other_data_is_not_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    path = tmp_path / "e" / "a" / "evaluation" / "test.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "b" * 64}))
    (run,) = read_runs(tmp_path)
    assert run.evaluation("split/test") is None
    assert run.evaluation("split/val") is not None


def test_sweeps_and_folders_without_a_start_are_no_runs(tmp_path: Path) -> None:
    Journal(tmp_path / "e" / "sweep").write("start", uid="u", kind="sweep")
    Journal(tmp_path / "e" / "torn").write("epoch", epoch=1, metrics={})
    assert read_runs(tmp_path) == []
