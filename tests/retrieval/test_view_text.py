"""Views as people count them."""

from __future__ import annotations

import pytest

from raytrain.retrieval.view_text import view_text


@pytest.mark.parametrize(
    ("query", "entry", "text"), [(None, None, ""), (None, 2, "3"), (0, None, "1"), (0, 2, "1 / 3")]
)
def test_views_are_counted_from_one(query: int | None, entry: int | None, text: str) -> None:
    assert view_text(query, entry) == text
