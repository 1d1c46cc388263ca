"""Evaluation files as models: what a damaged one is told, and rank arrays that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.errors import DataError
from raytrain.evaluation.evaluation_file import read_evaluation_file, read_rank_arrays

WHOLE: dict[str, Any] = {
    "schema": 1, "split": "test", "protocol": "split/test", "metrics": {"rsum": 300.0}, "headline": "rsum",
    "fingerprint": "a" * 64, "checkpoint": "checkpoint_00000002",
    "rerank": {"mode": "cross", "i2t": 4.0, "t2i": None, "beta": 1.0}, "intervals": {"rsum": [1.0, float("nan")]},
}  # fmt: skip


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "test.json"
    path.write_text(json.dumps(WHOLE | changes), encoding="utf-8")
    return path


def test_a_whole_file_is_given_as_it_is(tmp_path: Path) -> None:
    evaluation = read_evaluation_file(written(tmp_path, later_field=3))
    assert evaluation is not None
    assert (evaluation["later_field"], evaluation["file"]) == (3, str(tmp_path / "test.json"))
    assert read_evaluation_file(written(tmp_path, schema=2)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metrics", {"rsum": "high"}), ("metrics", []), ("metrics", {"rsum": float("nan")}), ("split", None),
        ("protocol", ["split/test"]), ("headline", 3), ("rerank", {"mode": "crass"}), ("rerank", {"mode": []}),
        ("rerank", {"i2t": "4"}), ("rerank", {"no_such": 1}), ("rerank", [1]), ("ranks", {}), ("seed", 2**70),
    ],
)  # fmt: skip
def test_a_damaged_field_is_named(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_evaluation_file(written(tmp_path, **{field: value}))
    assert str(tmp_path / "test.json") in str(error.value) and "evaluate the run again" in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "fits"),
    [
        ({"i2t": [0, 1], "t2i": [0, 0, 1], "item_of_text": [0, 0, 1]}, True),
        ({"i2t": [0, 1], "t2i": [0, 0], "item_of_text": [0, 0, 1]}, False),
        ({"i2t": [0, 1], "t2i": [0, 0, 1], "item_of_text": [0, 0, 2]}, False),
        ({"i2t": [[0, 1]], "t2i": [0, 0, 1], "item_of_text": [0, 0, 1]}, False),
        ({"i2t": [0.5, 1], "t2i": [0, 0, 1], "item_of_text": [0, 0, 1]}, False),
        ({"i2t": [0, 1], "t2i": [0, 0, 1]}, False),
        ({"query": [0, -1], "reference": [0, 1]}, True),
        ({"query": [0, -2], "reference": [0, 1]}, False),
        ({"query": [0, 1], "reference": [0]}, False),
    ],
)
def test_rank_arrays_have_to_fit_each_other(arrays: dict[str, Any], fits: bool, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "test.ranks.npz", **{name: np.asarray(values) for name, values in arrays.items()})
    evaluation = {"file": str(tmp_path / "test.json"), "ranks": "test.ranks.npz"}
    if fits:
        assert (read_rank_arrays(evaluation) or {}).keys() == arrays.keys()
    else:
        with pytest.raises(DataError, match="no rank arrays"):
            read_rank_arrays(evaluation)


def test_ranks_of_another_file_are_not_taken(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "test.ranks.npz", query=np.arange(3), reference=np.arange(3))
    evaluation = {"file": str(tmp_path / "test.json"), "ranks": "test.ranks.npz", "ranks_sha256": "0" * 64}
    with pytest.raises(DataError, match="sha256"):
        read_rank_arrays(evaluation)
    assert read_rank_arrays({**evaluation, "ranks": "gone.npz"}) is None
