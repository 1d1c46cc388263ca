"""Plans of encodings: inputs, batches and shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.encode.encode import encode
from raytrain.data.table import Table
from raytrain.errors import UsageError
from tests.encoders import tiny_models
from tests.tables import make_table


def test_a_model_with_both_towers_needs_the_kind_and_then_gives_either(table: Table, tmp_path: Path) -> None:
    clip = str(tiny_models.clip(tmp_path / "clip"))
    with pytest.raises(UsageError, match="--kind image or --kind text"):
        encode(table.path, clip, progress=None)
    assert encode(table.path, clip, kind="image", name="see", progress=None)["shape"] == [7, 5, 16]
    assert encode(table.path, clip, kind="text", name="read", progress=None)["shape"][1:] == [12]


def test_a_table_of_features_alone_has_nothing_to_encode(tmp_path: Path, vit: str) -> None:
    import pyarrow as pa

    from raytrain.data.table.writer import TableWriter

    made = make_table(tmp_path / "made")
    items = made.items.set_column(1, made.items.schema.field(1), pa.array([""] * len(made.items)))
    with TableWriter(tmp_path / "table", source={"name": "made up"}) as writer:
        writer.write(items, made.texts)
    with pytest.raises(UsageError, match="nothing to encode"):
        encode(tmp_path / "table", vit, progress=None)
