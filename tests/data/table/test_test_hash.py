"""Tables with the same test split have the same hash, however they are named, ordered and trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

from raytrain.data.table import Table
from raytrain.data.table.test_hash import hash_of_test
from tests.tables import make_query_table, make_table


def test_the_hash_is_of_the_test_texts_alone(tmp_path: Path, table: Table) -> None:
    copied = Table(shutil.copytree(table.path, tmp_path / "copied"))
    assert hash_of_test(copied) == hash_of_test(table)
    assert len(hash_of_test(table)) == 64
    other = make_table(tmp_path / "other", seed=1)
    assert hash_of_test(other) != hash_of_test(table)
    composed = [make_query_table(tmp_path / f"queries{seed}", seed=seed) for seed in (0, 1)]
    assert hash_of_test(composed[0]) != hash_of_test(table)
    # the features are others, the test is the same
    assert composed[0].fingerprint == composed[1].fingerprint or hash_of_test(composed[0]) == hash_of_test(composed[1])


def test_training_rows_do_not_enter_it(table: Table, tmp_path: Path) -> None:
    class Reduced:
        items = table.items.slice(0)
        texts = table.texts

    in_train = [split == "train" for split in table.items["split"].to_pylist()]
    words = ["changed" if in_train[item] else text for item, text in _texts(table)]
    Reduced.texts = table.texts.set_column(2, "text", [words])
    assert Reduced.texts["text"].to_pylist() != table.texts["text"].to_pylist()
    assert hash_of_test(Reduced) == hash_of_test(table)  # type: ignore[arg-type]


def _texts(table: Table) -> list[tuple[int, str]]:
    return list(zip(table.texts["item"].to_pylist(), table.texts["text"].to_pylist(), strict=True))
