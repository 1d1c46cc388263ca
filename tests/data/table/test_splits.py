"""Opening a split of either kind of table."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.table import QuerySplit, Split, Table, open_split
from raytrain.errors import RefusedError, UsageError
from tests.data.queries import query_table


def test_the_kind_of_split_is_that_of_the_table(table: Table, tmp_path: Path) -> None:
    captions, composed = open_split(table, "val"), open_split(query_table(tmp_path / "t"), "val")
    assert isinstance(captions, Split) and len(captions) == 6
    assert isinstance(composed, QuerySplit) and len(composed) == 3


@pytest.mark.parametrize("composed", [False, True])
def test_test_is_closed_and_other_names_are_refused_in_both(composed: bool, table: Table, tmp_path: Path) -> None:
    opened = query_table(tmp_path / "t") if composed else table
    with pytest.raises(RefusedError, match="evaluate --split test"):
        open_split(opened, "test")
    assert open_split(opened, "test", allow_test=True).name == "test"
    with pytest.raises(UsageError, match="no split 'dev'"):
        open_split(opened, "dev", allow_test=True)
