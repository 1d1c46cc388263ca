"""`raytrain evaluate --diagnostics`: what it writes, for both kinds of queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from raytrain.cli.main import main
from raytrain.config import override
from raytrain.data.table import Table
from raytrain.distributed import default_device
from raytrain.errors import UsageError
from raytrain.evaluation.diagnostics import hubness
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.scoring.embed import embed_split, score
from raytrain.training.fit import fit
from raytrain.training.run import load_run, open_tables, train
from tests.runs import small_run, tiny
from tests.tables import make_query_table


def test_the_scores_of_both_directions_are_looked_at_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = override(small_run(tmp_path, num_epochs=1), {"name": "run"})
    train(config)
    assert main(["evaluate", str(config.folder), "--diagnostics"]) == 0
    assert "t2i/hubness" in capsys.readouterr().out
    written = json.loads((config.folder / "evaluation" / "val.json").read_text())["diagnostics"]
    model, feed, _ = load_run(config.folder)
    val = Table(config.data.table).split("val")
    scores = score(model, *embed_split(model, val, feed, default_device()))
    assert written["diagnostics/t2i/hubness"] == pytest.approx(hubness(scores))
    owner = torch.from_numpy(val.item_of_text)
    apart = []
    for line, own in zip(scores.tolist(), owner.tolist(), strict=True):
        apart.append(line[own] - max(value for item, value in enumerate(line) if item != own))
    assert written["diagnostics/t2i/margin"] == pytest.approx(sorted(apart)[(len(apart) - 1) // 2], abs=1e-6)
    assert {"diagnostics/i2t/margin", "diagnostics/set_cosine", "diagnostics/weight_variation"} <= set(written)
    assert written["calibration"] is None  # DVSE predicts no uncertainty
    plain = evaluate_run(config.folder)
    assert plain["diagnostics"] is None
    with pytest.raises(UsageError, match="shards"):
        evaluate_run(config.folder, ranker=lambda *_: pytest.fail("ranked"), diagnostics=True)


def test_of_composed_queries_recall_is_told_by_predicted_uncertainty(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    config = tiny(table, tmp_path, method__kind="rau", encoder__dim=16, encoder__pooling="mean", optim__batch_size=30)
    fit(config, open_tables(config))
    answer = evaluate_run(config.folder, diagnostics=True)
    numbers = answer["diagnostics"]
    assert {"diagnostics/hubness", "diagnostics/margin", "diagnostics/uncertainty_rank_correlation"} <= set(numbers)
    parts = numbers["calibration"]
    assert sum(part["queries"] for part in parts) == answer["queries"]["query"]
    whole = sum(part["recall"] * part["queries"] for part in parts) / answer["queries"]["query"]
    assert whole == pytest.approx(answer["metrics"]["recall_at_10"])
    assert [part["uncertainty"] for part in parts] == sorted(part["uncertainty"] for part in parts)
