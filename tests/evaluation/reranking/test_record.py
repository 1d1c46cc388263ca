"""rerank.json: recorded searches open and would be written as they are; damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.errors import DataError
from raytrain.evaluation.reranking.record import NAME, RerankRecord

ROOT = Path(__file__).resolve().parents[3]
RECORDED = sorted((ROOT / "results").rglob("rerank*.json"))


def test_recorded_searches_open_and_would_be_written_as_they_are(tmp_path: Path) -> None:
    assert RECORDED
    for file in RECORDED:
        record = RerankRecord.read(file)
        assert record.temperatures.as_dict() == record.params
        record.write(tmp_path / NAME)
        assert (tmp_path / NAME).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"after": "much"}, "field after: Input should be a valid number"),
        ({"params": {"mode": "sinkhorn"}}, "field params: re-ranking has no mode 'sinkhorn'"),
        ({"params": {"mode": "cross", "later": 1}}, "field params: "),
        ({"params": {"mode": "cross", "i2t": "20"}}, "field params: "),
        ({"tried": {"i2t": [1]}}, "field tried.i2t.0: Input should be a valid list"),
    ],
)
def test_damage_is_one_error_that_names_file_and_field(change: dict[str, object], what: str, tmp_path: Path) -> None:
    document = json.loads(RECORDED[0].read_text(encoding="utf-8")) | change
    (tmp_path / NAME).write_text(json.dumps(document))
    with pytest.raises(DataError) as caught:
        RerankRecord.read(tmp_path / NAME)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / NAME)
    assert problem.what.startswith(what)


def test_a_run_that_was_not_searched_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RerankRecord.read(tmp_path / NAME)
