"""What the API gives of a hit."""

from __future__ import annotations

from raytrain.retrieval.hits import Hit
from raytrain.retrieval.serve.schema import failures, result_of


def test_a_result_has_no_path() -> None:
    result = result_of(Hit(1, 0.5, 7, "a", "a dog", "secret/a.jpg", "val", None, 2), True)
    assert result.model_dump() == {
        "rank": 1, "id": "a", "score": 0.5, "text": "a dog", "split": "val", "query_view": None, "item_view": 2,
        "image": True,
    }  # fmt: skip
    assert list(failures(413)) == [413]
