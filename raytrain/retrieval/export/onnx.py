"""`--to onnx`: the encoders and the similarity as ONNX graphs with any batch and length, each checked against torch."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.errors import UsageError, pip_install
from raytrain.files import sha256, write_json
from raytrain.retrieval.export.onnx_graphs import Graph, graphs_of
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.portable.attribution import NAME as ATTRIBUTION
from raytrain.retrieval.portable.description import IMAGE_MODEL, NAME, TEXT_MODEL, WORDS
from raytrain.retrieval.portable.write import refuse_files_in, write_portable
from raytrain.retrieval.runs import OpenRun

SIDECAR, DESCRIPTION = "onnx.json", "model.json"
TOLERANCE = 1e-4
"""Largest difference from torch, relative to the largest number where that is above 1."""
OPSET = 18
EXPORTERS = ("torchscript", "dynamo")
"""In the order in which they are tried. The first takes packed GRUs, which the second does not, and a tenth of the
time; the second takes models whose graph by the first one holds at the shapes of the example alone."""
TAKEN_ALONG = (WORDS, TEXT_MODEL, IMAGE_MODEL, ATTRIBUTION)
"""Of the portable form: what makes the inputs of the graphs of a text or an image, and whom the data ask to name."""


def write_onnx(run: OpenRun, out: Path, options: ExportOptions) -> dict[str, Any]:
    """Write the folder `out`, complete or not at all.

    Returns:
        {"path", "graphs": {name: {"file", "exporter", "largest_difference", "inputs", "output", "sha256"}}}

    Raises:
        UsageError: the extra `export` is not installed, or a part of the method cannot be exported; which one, and why.
        RefusedError: there are files in `out`.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"ONNX needs {package}: {pip_install('export')}")
    refuse_files_in(out)
    graphs = graphs_of(run.retriever.model, run.saved.config, run.feed.inputs, run.feed.images.regions)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as place:
        part = Path(place) / "onnx"
        part.mkdir()
        facts = {graph.name: export_graph(graph, part) for graph in graphs}
        portable = write_portable(run, Path(place) / "portable")
        shutil.copyfile(portable / NAME, part / DESCRIPTION)
        for name in TAKEN_ALONG:
            if (portable / name).is_dir():
                shutil.copytree(portable / name, part / name)
            elif (portable / name).exists():
                shutil.copyfile(portable / name, part / name)
        write_json(part / SIDECAR, {"opset": OPSET, "longest_text": run.saved.config.data.max_words, "graphs": facts})
        if out.exists():
            out.rmdir()
        part.rename(out)
    return {"path": str(out), "graphs": facts}


def export_graph(graph: Graph, folder: Path) -> dict[str, Any]:
    """Write one graph as folder/NAME.onnx, by the exporter that exports it right, and return its facts.

    What counts is the check at three shapes.

    Raises:
        UsageError: neither exporter gives a graph that computes what torch does.
    """
    path = folder / f"{graph.name}.onnx"
    reasons = []
    for exporter in EXPORTERS:
        try:
            with _quiet():
                _export(graph, path, exporter)
            difference, inputs = _check(graph, path)
        except Exception as error:  # whatever torch's exporters, onnx and onnxruntime raise
            reasons.append(f"{exporter}: {(str(error).strip() or type(error).__name__).splitlines()[0]:.150}")
            continue
        if difference <= TOLERANCE:
            return {
                "file": path.name, "exporter": exporter, "largest_difference": difference, "inputs": inputs,
                "output": graph.output[0], "sha256": sha256(path),
            }  # fmt: skip
        reasons.append(f"{exporter}: differs from torch by {difference:.1e}")
    raise UsageError(f"the graph of {graph.name} cannot be exported to ONNX ({'; '.join(reasons)})")


def _export(graph: Graph, path: Path, exporter: str) -> None:
    names, (output, output_axes) = list(graph.inputs), graph.output
    shared: dict[str, Any] = {
        "input_names": list(graph.inputs), "output_names": [output], "opset_version": OPSET, "verbose": False,
    }  # fmt: skip
    with torch.no_grad():
        if exporter == "dynamo":
            dimensions = [dict.fromkeys(graph.inputs[name], torch.export.Dim.DYNAMIC) for name in names]
            shapes: Any = (tuple(dimensions),) if hasattr(graph.module, "keys") else tuple(dimensions)
            torch.onnx.export(
                graph.module, graph.examples[0], path, dynamo=True, dynamic_shapes=shapes, external_data=False, **shared
            )
        else:
            axes = {**graph.inputs, output: output_axes}
            torch.onnx.export(graph.module, graph.examples[0], path, dynamo=False, dynamic_axes=axes, **shared)


def _check(graph: Graph, path: Path) -> tuple[float, dict[str, dict[str, Any]]]:
    """The largest difference between the graph and torch at all examples, and {input: {"dtype", "shape"}}."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {each.name: {"dtype": each.type, "shape": list(each.shape)} for each in session.get_inputs()}
    difference = 0.0
    for example in graph.examples:
        with torch.no_grad():
            expected: Tensor = graph.module(*example)
        given = {name: value.numpy() for name, value in zip(graph.inputs, example, strict=True) if name in inputs}
        computed = session.run([graph.output[0]], given)[0]
        if computed.shape != tuple(expected.shape):
            raise ValueError(f"shape {computed.shape}, torch gives {tuple(expected.shape)}")
        scale = max(1.0, float(expected.abs().max()))
        difference = max(difference, float(np.abs(computed - expected.numpy()).max()) / scale)
    return difference, inputs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters print of their progress."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
