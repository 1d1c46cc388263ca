"""A text transformer trained with the rest, from a folder, on tiny random models saved by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.scoring.feed import open_feed
from raytrain.training import checkpoint
from raytrain.training.build import build_method
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.encoders.tiny_models import bert, clip
from tests.runs import tiny

pytest.importorskip("transformers", reason="needs the extra `encode`")


@pytest.mark.parametrize("method", ["dvse", "dive"])
@pytest.mark.parametrize("model", [bert, clip])
def test_a_transformer_trains_is_saved_and_evaluates(
    model: Callable[[Path], Path], method: str, table: Table, tmp_path: Path
) -> None:
    path = model(tmp_path / "model")
    config = tiny(
        table, tmp_path, encoder__text__kind="transformer", encoder__text__path=str(path), encoder__text__lr_scale=1.0,
        data__max_words=12, method__kind=method, optim__batch_size=20 if method == "dvse" else 4,
    )  # fmt: skip
    before = build_method(config, open_feed(config, table)).state_dict()
    fit(config, open_tables(config))
    best = checkpoint.best(config.folder)
    assert best is not None
    after = checkpoint.load(best).weights
    moved = [name for name in before if "transformer" in name and not torch.equal(before[name], after[name])]
    assert any("layer" in name for name in moved)
    assert not any("pooler" in name for name in moved)
    assert evaluate_run(config.folder)["metrics"]["rsum"] > 0
