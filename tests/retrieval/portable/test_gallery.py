"""A gallery that travels with a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.errors import DataError
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.portable.gallery import read_gallery, write_gallery

CPU = torch.device("cpu")


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    gallery = Gallery(
        "images", torch.arange(12.0).view(2, 2, 3), ["a", "b"], ["ein Häuschen", ""], ["a.jpg", "b.jpg"],
        ["train", "test"], items=np.array([4, 7]), fingerprint="f" * 64,
    )  # fmt: skip
    assert read_gallery(tmp_path, CPU) is None
    write_gallery(tmp_path, gallery)
    read = read_gallery(tmp_path, CPU)
    assert read is not None
    assert torch.equal(read.embeddings, gallery.embeddings)
    for name in ("of", "ids", "texts", "files", "splits", "fingerprint"):
        assert getattr(read, name) == getattr(gallery, name)
    assert read.items.tolist() == [4, 7]
    np.save(tmp_path / "gallery" / "embeddings.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match="expected 2 rows"):
        read_gallery(tmp_path, CPU)
    np.save(tmp_path / "gallery" / "embeddings.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(DataError, match="no embeddings"):
        read_gallery(tmp_path, CPU)
