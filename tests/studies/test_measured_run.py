"""A run as measures see it: ranks from kept similarities or an evaluation, embeddings from its best checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.config import override
from raytrain.data.table import Split
from raytrain.errors import UsageError
from raytrain.studies.measured_run import MeasuredRun, ranks_of
from raytrain.studies.measures.reranking import over_bank
from raytrain.studies.measures.views import effective_rank, weight_accuracy, weight_variation
from raytrain.studies.report import recalls_of
from raytrain.tracking.run_record import read_run
from raytrain.training.run import train
from tests.studies.in_process import recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> MeasuredRun:
    config = override(recipe(tmp_path_factory.mktemp("run")), {"name": "dvse"})
    train(config)
    return MeasuredRun(read_run(config.folder))


def test_ranks_are_those_of_the_best_epochs_validation(run: MeasuredRun) -> None:
    assert run.kept_similarity
    assert recalls_of(run.ranks)["rsum"] == pytest.approx(run.record.best)
    assert run.metric("val/rsum") == run.record.best and run.metric("no/such") is None
    assert run.metric("cost/index_bytes") == 4 * 2 * 16


def test_a_run_without_kept_similarities_is_evaluated_once(run: MeasuredRun, tmp_path: Path) -> None:
    config = override(recipe(tmp_path), {"name": "unkept", "evaluation.keep_similarity": False})
    train(config)
    unkept = MeasuredRun(read_run(config.folder))
    assert not unkept.kept_similarity
    for name in ("i2t", "t2i", "item_of_text"):
        np.testing.assert_array_equal(unkept.ranks[name], run.ranks[name])
    assert (config.folder / "evaluation" / "val.json").exists()


def test_embeddings_give_the_similarities_that_the_run_kept(run: MeasuredRun) -> None:
    query, gallery = run.embedded
    torch.testing.assert_close(run.model.similarity(query, gallery), run.similarity[0])
    texts, images = run.embedded_pairs("train", 5)
    assert (len(texts), tuple(images.shape)) == (5, (5, 2, 16))


def test_measures_of_views_are_in_their_ranges(run: MeasuredRun) -> None:
    rank, variation, accuracy = effective_rank(run), weight_variation(run), weight_accuracy(run)
    assert rank is not None and 1 <= rank <= 2
    assert variation is not None and variation >= 0
    assert accuracy is None or -1 <= accuracy <= 1


def test_a_bank_of_training_queries_ranks_every_query(run: MeasuredRun) -> None:
    ranks = over_bank(run, 4, 5.0)
    assert ranks["t2i"].shape == run.ranks["t2i"].shape  # type: ignore[union-attr]


def test_either_direction_may_have_scores_of_its_own() -> None:
    similarity, owner = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    ranks = ranks_of(similarity, owner, -similarity)
    assert (ranks["t2i"].tolist(), ranks["i2t"].tolist()) == ([0, 0], [1, 1])  # type: ignore[union-attr]


def test_measures_of_captions_are_not_of_composed_queries(run: MeasuredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run.split("val"), Split)
    monkeypatch.setattr(MeasuredRun, "split", lambda run, which: object())
    with pytest.raises(UsageError, match="answers composed queries"):
        run.embedded_pairs("train", 5)
