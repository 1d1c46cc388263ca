"""What a setting is worth: the grid says what the evaluation says, of all queries and fold by fold."""

from __future__ import annotations

import pytest

from raytrain.evaluation.protocols.protocols import evaluate, folds
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.normaliser import Mode
from raytrain.evaluation.temperature_search.choice import QueryFolds
from raytrain.evaluation.temperature_search.recalls import GRID, Part, grid_recalls
from tests.evaluation.temperature_search.grids import PATHS, made_up


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize("mode", ["cross", "product", "additive"])
def test_the_grid_says_what_the_evaluation_says_of_each_setting(mode: Mode, compiled: bool) -> None:
    scores, owner = made_up(60, 20, seed=3)
    (fold,) = folds(scores, owner, 1)
    part = Part(fold, None, QueryFolds.draw(owner, 20, 0))
    recalls = grid_recalls(part, GRID, [mode], {"i2t": (0,), "t2i": (0,)}, compiled)
    assert len(recalls["i2t"]) == len(recalls["t2i"]) == (16 if mode == "additive" else 64)
    for setting in list(recalls["i2t"])[::5]:
        result = evaluate(scores, owner, "split/val", Temperatures(mode, setting.scale, setting.scale))
        for direction in ("i2t", "t2i"):
            expected = sum(result.metrics[f"{direction}/recall_at_{k}"] for k in (1, 5, 10))
            actual = recalls[direction][setting]  # type: ignore[index]
            assert actual.total == pytest.approx(expected, abs=1e-9)
            queries = part.query_folds.counts(direction, result.ranks[direction])  # type: ignore[arg-type]
            assert 100 * float(actual.by_fold.sum() / queries.sum()) == pytest.approx(expected, abs=1e-9)
