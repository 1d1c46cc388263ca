"""What FAISS stores of an index, and how far it is from the vectors themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("faiss", reason="candidates need faiss-cpu")
from raytrain.errors import UsageError
from raytrain.retrieval.index.candidates import build, means, refuse_unfit
from raytrain.retrieval.index.manifest import CandidateKind
from tests.retrieval.index.made import Compared, candidates, sets, views


@pytest.mark.parametrize("kind", ["flat", "fp16", "sq8"])
def test_no_product_is_further_from_the_stored_one_than_the_error(kind: CandidateKind, tmp_path: Path) -> None:
    embeddings = sets(300, 4, 32, 0) * torch.linspace(0.5, 2.0, 300)[:, None, None]
    index = candidates(tmp_path, embeddings, kind)
    asking = sets(20, 1, 32, 1)[:, 0].numpy()
    products, entries = index.nearest(asking, len(index))
    exact = np.einsum("nd,gjd->ngj", asking.astype(np.float64), embeddings.numpy().astype(np.float64))
    for number in range(20):
        own = {entry: sorted(exact[number, entry]) for entry in range(300)}
        by_entry: dict[int, list[float]] = {entry: [] for entry in range(300)}
        for product, entry in zip(products[number].tolist(), entries[number].tolist(), strict=True):
            by_entry[entry].append(product)
        apart = max(abs(a - b) for entry in own for a, b in zip(own[entry], sorted(by_entry[entry]), strict=True))
        assert apart <= index.entry.error + 32 * 2**-24 * 2.1
    assert index.entry.longest == pytest.approx(2.0, abs=1e-5)
    assert (index.entry.error == 0) == (kind == "flat") and index.entry.error < 0.05


def test_no_vector_is_outside_the_range_of_sq8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.retrieval.index.candidates._AT_ONCE", 30)
    embeddings = sets(100, 2, 4, 0) * 0.1
    embeddings[97] = 5.0
    steps = (embeddings.flatten(0, 1).amax(0) - embeddings.flatten(0, 1).amin(0)) / 255
    assert 0 < candidates(tmp_path, embeddings, "sq8").entry.error <= float((steps / 2).norm()) * 1.01


def test_a_graph_of_means_finds_the_nearest_mean(tmp_path: Path) -> None:
    embeddings = sets(200, 3, 16, 0)
    index = candidates(tmp_path, embeddings, "hnsw")
    _, entries = index.nearest(means(embeddings[:5]), 20)
    assert not index.bounded and [int(row[0]) for row in entries] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(means(embeddings), embeddings.mean(1), atol=1e-6)
    assert build(embeddings, "hnsw", tmp_path / "again.faiss") is None


def test_what_candidates_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Compared(views("max"))
    refuse_unfit(method, "sq8")
    method.monotone = False
    with pytest.raises(UsageError, match="leave --faiss out, and every entry is compared, or give --faiss hnsw"):
        refuse_unfit(method, "sq8")
    refuse_unfit(method, "hnsw")
    method.local_features = True
    with pytest.raises(UsageError, match=r"every entry is compared$"):
        refuse_unfit(method, "hnsw")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "raytrain\[index\]"'):
        refuse_unfit(Compared(views("max")), "flat")
