"""Tables with the same test split have the same hash, however they are named, ordered and trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from raytrain.data.table import Table
from raytrain.data.table.test_hash import hash_of_test
from tests.tables import make_query_table, make_table


def with_texts(table: Table, changed_split: str) -> Table:
    """The table with another text for every image of a split."""
    changed = Table(table.path)
    splits, owners = table.items["split"].to_pylist(), table.texts["item"].to_pylist()
    rows = zip(owners, table.texts["text"].to_pylist(), strict=True)
    texts = ["changed" if splits[item] == changed_split else text for item, text in rows]
    changed.texts = table.texts.set_column(2, "text", [texts])
    return changed


def test_the_hash_is_of_the_test_rows_alone(tmp_path: Path, table: Table) -> None:
    copied = Table(shutil.copytree(table.path, tmp_path / "copied"))
    assert hash_of_test(copied) == hash_of_test(table) and len(hash_of_test(table)) == 64
    assert hash_of_test(with_texts(table, "train")) == hash_of_test(table)
    others = [with_texts(table, "test"), make_table(tmp_path / "other", seed=1), make_query_table(tmp_path / "queries")]
    assert len({hash_of_test(other) for other in [table, *others]}) == 4


def test_names_and_order_do_not_enter_it(table: Table) -> None:
    renamed = Table(table.path)
    renamed.items = table.items.set_column(0, "id", [[f"other{row}" for row in range(len(table.items))]])
    renamed.texts = table.texts.take(pa.array(np.arange(len(table.texts))[::-1]))
    assert hash_of_test(renamed) == hash_of_test(table)
