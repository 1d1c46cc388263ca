"""Results are made of a dictionary, and become one again with the same names in the same order."""

from __future__ import annotations

import dataclasses

import pytest

from raytrain.api.results import Evaluation, Reranking
from tests.cli.test_evaluate import RESULT


def test_a_result_keeps_the_order_of_its_fields_and_leaves_out_what_was_not_asked_for() -> None:
    result = Evaluation.of(RESULT)
    assert result.as_dict() == RESULT
    assert list(result.as_dict())[-1] == "metrics"
    with_sheet = Evaluation.of({**RESULT, "sheets": ["a.json"], "sheet_page": "a.html", "unknown": 1})
    assert list(with_sheet.as_dict())[-2:] == ["sheets", "sheet_page"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.run = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Reranking.of({"params": {}})
