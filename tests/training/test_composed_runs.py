"""Composed retrieval through the loop, the evaluation and the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.config import RunConfig
from raytrain.data.table import Table
from raytrain.errors import RefusedError, UsageError
from raytrain.review.leaderboard import read_board
from raytrain.review.page import to_html
from raytrain.review.tables import to_csv, to_markdown, to_text
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.run_evaluation.rerank import rerank_run
from raytrain.tracking.journal import Journal
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.runs import tiny
from tests.tables import make_query_table, make_table

LEARNS: dict[str, Any] = {
    "encoder__dim": 16, "encoder__pooling": "mean", "optim__batch_size": 30, "optim__lr": 1e-2, "method__dropout": 0.0,
    "data__word_drop": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_query_table(tmp_path_factory.mktemp("queries") / "table").path


def config(table: Path, storage: Path, kind: str = "composed", **changes: Any) -> RunConfig:
    return tiny(Table(table), storage, **{"method__kind": kind, **LEARNS, **changes})


def run(config: RunConfig, **more: Any) -> dict[str, float]:
    return fit(config, open_tables(config), **more)


@pytest.mark.parametrize("kind", ["composed", "rau"])
def test_both_halves_of_the_query_are_learned_and_neither_is_enough(kind: str, queries: Path, tmp_path: Path) -> None:
    found = {}
    for composition in ("fusion", "image", "text"):
        changes = {"name": composition, "method__composition": composition, "optim__num_epochs": 12}
        found[composition] = best(config(queries, tmp_path, kind, **changes))
    assert found["fusion"] > 260
    assert found["fusion"] > 60 + max(found["image"], found["text"])


def best(config: RunConfig) -> float:
    reported: list[float] = []
    run(config, report=lambda metrics, _: reported.append(metrics["best"]))
    return reported[-1]


def test_a_composed_run_is_evaluated_and_stands_on_the_board(queries: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        made = config(queries, tmp_path, name=f"sum{seed}", seed=seed, method__composition="sum")
        run(made)
        for split in ("val", "test"):
            answer = evaluate_run(made.folder, split)
    assert answer["queries"] == {"query": 60}
    assert answer["gallery"] == {"query": 29}  # 30 items of the split without the reference
    assert set(answer["metrics"]) >= {"recall_at_1", "recall_at_10", "recall_at_50", "rsum", "map_at_r"}
    assert not (made.folder / "evaluation" / "similarity_val.npy").exists()
    with pytest.raises(UsageError, match="no protocol 'coco/5k'"):
        evaluate_run(made.folder, "test", "coco/5k")
    with pytest.raises(RefusedError, match="composed queries"):
        rerank_run(made.folder)

    board = read_board(tmp_path)
    (row,) = board.rows
    assert (row.method, row.composed, row.seeds) == ("composed/sum", True, [0, 1])
    assert row.test.rsum == pytest.approx(sum(row.test.metrics[f"recall_at_{k}"] for k in (1, 10, 50)))
    assert row.interval.low < row.test.rsum < row.interval.high
    assert row.test.metrics["i2t/recall_at_1"] is None
    text, page = to_text(board), to_html(board)
    assert "test R@1/10/50 mAP@R" in text
    assert "Sum" in text
    assert "image and text to image" in page
    assert "mAP@R" in page
    assert "mAP@R" in to_markdown(board)
    assert "test/map_at_r" in to_csv(board).splitlines()[0]


def test_a_method_meets_the_table_it_trains_on_or_says_so(queries: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds composed queries; dvse trains on images with captions"):
        open_tables(tiny(Table(queries), tmp_path))
    captions = make_table(tmp_path / "captions").path
    with pytest.raises(UsageError, match="holds images with captions; rau trains on composed queries"):
        open_tables(config(captions, tmp_path, "rau"))
    with pytest.raises(UsageError, match=r"rau does not train with data\.batch_by=pair; choose query"):
        config(queries, tmp_path, "rau", data__batch_by="pair")
    with pytest.raises(UsageError, match="val/i2t/recall_at_1 is no metric of this table"):
        run(config(queries, tmp_path, evaluation__select="val/i2t/recall_at_1"))


def test_a_rau_run_journals_its_uncertainty(queries: Path, tmp_path: Path) -> None:
    made = config(queries, tmp_path, "rau", method__theta=0.5, method__theta_mode="quantile")
    run(made)
    metrics = [event["metrics"] for event in Journal(made.folder).read() if event["event"] == "epoch"]
    assert metrics[0]["train/further_positives"] == 0  # theta waits for the second epoch
    assert 0.2 < metrics[1]["train/further_positives"] < 0.8
    assert metrics[1]["train/sigma"] > 0
    assert -1 <= metrics[1]["diagnostics/uncertainty_rank_correlation"] <= 1


@pytest.mark.parametrize("kind", ["pcme", "pcmepp"])
def test_probabilistic_image_text_runs_journal_their_uncertainty(kind: str, tmp_path: Path) -> None:
    made = tiny(make_table(tmp_path / "captions"), tmp_path, method__kind=kind)
    metrics = run(made)
    assert -1 <= metrics["diagnostics/uncertainty_rank_correlation"] <= 1
