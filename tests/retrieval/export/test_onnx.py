"""ONNX graphs against torch, for every method that has them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval.export import onnx
from raytrain.retrieval.export.onnx import export_graph, write_onnx
from raytrain.retrieval.export.onnx_graphs import Graph, graphs_of
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.runs import open_run
from tests.retrieval.runs import MORE_RUNS, RUNS

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="needs the extra `export`")

CPU = torch.device("cpu")
CROSS_ATTENTION = ("scan", "sgraf", "naaf")
NAMES = [name for name in (*RUNS, *MORE_RUNS, "trained backbones") if not name.startswith(CROSS_ATTENTION)]


@pytest.mark.parametrize("name", [*NAMES, "composed"])
def test_each_graph_computes_what_torch_does_at_other_shapes(
    name: str, run_of: Callable[[str], Path], composed_run: Path, tmp_path: Path
) -> None:
    """`export_graph` checks each graph at three shapes, batch 1 among them; here further shapes are run."""
    run = open_run(composed_run if name == "composed" else run_of(name), CPU)
    graphs = graphs_of(run.retriever.model, run.saved.config, run.feed.inputs, run.feed.images.regions)
    assert [graph.name for graph in graphs] == ["images", "queries" if name == "composed" else "texts", "similarity"]
    for graph in graphs:
        facts = export_graph(graph, tmp_path)
        assert facts["largest_difference"] <= 1e-4 and facts["exporter"] == "torchscript"
        doubled = tuple(torch.cat([value, value]) for value in graph.examples[1])
        expected = graph.module(*doubled).detach().numpy()
        np.testing.assert_allclose(_run(tmp_path / facts["file"], graph, doubled), expected, rtol=1e-4, atol=1e-4)


def _run(path: Path, graph: Graph, values: tuple[Tensor, ...]) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = dict(zip(graph.inputs, (value.numpy() for value in values), strict=True))
    computed: np.ndarray = session.run(None, {each.name: given[each.name] for each in session.get_inputs()})[0]
    return computed


@pytest.mark.parametrize("kind", CROSS_ATTENTION)
def test_cross_attention_is_refused_in_one_line(kind: str, run_of: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{kind} compares words with regions by cross attention"):
        write_onnx(open_run(run_of(f"{kind} over token states"), CPU), tmp_path / "onnx", ExportOptions())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_graphs_ranks_as_its_run(run_of: Callable[[str], Path], pictures: Table, tmp_path: Path) -> None:
    """By numpy and onnxruntime alone, as docs/export.md shows; the vocabulary lies in the folder."""
    import onnxruntime

    run = open_run(run_of("dive over words"), CPU)
    facts = write_onnx(run, tmp_path / "onnx", ExportOptions())
    folder = Path(facts["path"])
    assert json.loads((folder / "onnx.json").read_text())["graphs"] == facts["graphs"]
    names = {path.name for path in folder.iterdir()}
    assert {"images.onnx", "texts.onnx", "similarity.onnx", "vocabulary.json", "model.json"} <= names
    sessions = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in facts["graphs"]}
    numbers = {word: n for n, word in enumerate(json.loads((folder / "vocabulary.json").read_text())["words"])}
    ids = np.array([[1, *(numbers.get(word, 3) for word in ("a", "dog")), 2]])
    rows = pictures.split("val").items
    regions = np.asarray(pictures.array("vit")[rows], np.float32)
    images = sessions["images"].run(None, {"regions": regions, "region_mask": np.ones(regions.shape[:2], bool)})[0]
    texts = sessions["texts"].run(None, {"text": ids, "text_mask": np.ones(ids.shape, bool)})[0]
    scores = sessions["similarity"].run(None, {"query": texts, "gallery": images})[0]
    hits = run.retriever.search("a dog", 4, gallery=run.retriever.gallery(split="val"))
    assert np.argsort(-scores[0]).tolist() == [hit.position for hit in hits]
    np.testing.assert_allclose(np.sort(scores[0])[::-1], [hit.score for hit in hits], atol=1e-4)


def test_a_graph_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Drifts(nn.Module):
        calls = 0

        def forward(self, rows: Tensor) -> Tensor:
            self.calls += 1
            return rows + self.calls

    monkeypatch.setattr(onnx, "EXPORTERS", ("torchscript",))
    graph = Graph("texts", Drifts(), {"rows": {0: "batch"}}, ("embedding", {0: "batch"}), [(torch.ones(2, 3),)])
    with pytest.raises(UsageError, match=r"the graph of texts cannot be exported to ONNX \(torchscript: differs from"):
        export_graph(graph, tmp_path)


def test_without_the_extra_one_line_names_it(
    run_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(run_of("dive over words"), CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "raytrain\[export\]"'):
        write_onnx(run, tmp_path / "onnx", ExportOptions())
