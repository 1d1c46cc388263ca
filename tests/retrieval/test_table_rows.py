"""Tables other than the one that a run was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.errors import DataError
from raytrain.retrieval import Retriever
from tests.data.pictures import entry, karpathy


def test_stored_features_made_alike_are_read(retriever: Retriever, triplets: Table) -> None:
    gallery = retriever.gallery(triplets.path)
    files = [Path(str(triplets.image_root)) / file for file in gallery.files]
    torch.testing.assert_close(gallery.embeddings, retriever.encode_image(files), rtol=1e-4, atol=1e-5)


def test_a_table_without_features_is_embedded_from_its_files(retriever: Retriever, tmp_path: Path) -> None:
    table = build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(2)]), tmp_path / "table")
    images, texts = retriever.gallery(table), retriever.gallery(table, of="texts")
    files = [Path(str(table.image_root)) / file for file in images.files]
    torch.testing.assert_close(images.embeddings, retriever.encode_image(files), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(texts.embeddings, retriever.encode_text(texts.texts), rtol=1e-4, atol=1e-5)


def test_a_table_whose_images_are_gone_is_bad_data(retriever: Retriever, table: Table) -> None:
    with pytest.raises(DataError, match="not found"):
        retriever.gallery(table)
