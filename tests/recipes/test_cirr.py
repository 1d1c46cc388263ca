"""CIRR's recipes are FashionIQ's on another table."""

from __future__ import annotations

import pytest

from tests.recipes.settings import differences


@pytest.mark.parametrize("method", ["rau", "combiner"])
def test_only_the_table_differs(method: str) -> None:
    changed = differences(f"{method}_cirr", f"{method}_fashion_iq")
    assert changed == {"experiment": "cirr", "data.table": "tables/cirr"}
