"""The parts of a trained model that become ONNX graphs, with examples of their inputs.

Letters: B batch, R regions, F features, T tokens, D dimensions, N longest text or number of regions.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from raytrain.config import RunConfig
from raytrain.encoders.pooling import GPO
from raytrain.errors import UsageError
from raytrain.methods.base import Inputs, Method
from raytrain.methods.trained_backbone import TrainedBackbone

Shape = tuple[int, int]
"""Batch and length of an example."""


@dataclass(frozen=True)
class Graph:
    """A part of a model.

    Args:
        name: of its file.
        module: takes its inputs in order, and returns one tensor.
        inputs: {name: the dimensions that may differ from call to call, by their names}.
        output: name, and likewise.
        examples: inputs of three shapes; the first is exported with.
    """

    name: str
    module: nn.Module
    inputs: dict[str, dict[int, str]]
    output: tuple[str, dict[int, str]]
    examples: Sequence[tuple[Tensor, ...]]


def graphs_of(model: Method, config: RunConfig, inputs: Inputs, regions: int) -> list[Graph]:
    """The encoders of a model and its similarity.

    Args:
        model: in evaluation mode, on any device; it is copied.
        inputs: sizes of its data.
        regions: R of an image.

    Raises:
        UsageError: the method compares local features by cross attention.
    """
    if model.local_features:
        raise UsageError(
            f"{config.method.kind} compares words with regions by cross attention, and has no embedding per item; "
            "ONNX takes methods whose texts and images are embedded on their own"
        )
    model = _exportable(copy.deepcopy(model).cpu().eval(), max(config.data.max_words, regions))
    generator = torch.Generator().manual_seed(0)
    longest = max(2, min(config.data.max_words, 9))
    shapes = [(3, longest), (5, max(2, longest - 2)), (1, 2)]
    images = [_images(model, inputs, regions, batch, generator) for batch, _ in shapes]
    texts = [_texts(config, inputs, batch, length, generator) for batch, length in shapes]
    batch, text = {0: "batch"}, {0: "batch", 1: "length"}
    named: dict[str, dict[int, str]]
    picture = "pixels" if isinstance(model, TrainedBackbone) else "regions"
    gallery = Graph(
        "images", _Part(model, "encode_gallery", ("regions", "region_mask")), {picture: batch, "region_mask": batch},
        ("embedding", batch), images,
    )  # fmt: skip
    if config.batch_by == "query":
        keys = ("reference", "reference_mask", "text", "text_mask")
        named = dict(zip(keys, (batch, batch, text, text), strict=True))
        both = [image + words for image, words in zip(images, texts, strict=True)]
        query = Graph("queries", _Part(model, "encode_query", keys), named, ("embedding", batch), both)
    else:
        words_part = _Part(model, "encode_query", ("text", "text_mask"))
        query = Graph("texts", words_part, {"text": text, "text_mask": text}, ("embedding", batch), texts)
    with torch.no_grad():
        queries = [query.module(*example) for example in query.examples]
        items = [gallery.module(*example) for example in images]
    pairs = [(queries[0], items[1]), (queries[1], items[0]), (queries[2], items[2])]
    sides = {"query": {0: "queries"}, "gallery": {0: "items"}}
    scores = Graph("similarity", _Scores(model), sides, ("scores", {0: "queries", 1: "items"}), pairs)
    return [gallery, query, scores]


class _Part(nn.Module):
    """One encoder of a model, called with its keys of a batch in order."""

    def __init__(self, model: Method, encoder: str, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.encoder, self.keys = model, encoder, keys
        self.eval()

    def forward(self, *values: Tensor) -> Tensor:
        batch = dict(zip(self.keys, values, strict=True))
        return getattr(self.model, self.encoder)(batch).float()  # type: ignore[no-any-return]


class _Scores(nn.Module):
    def __init__(self, model: Method) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        return self.model.similarity(query, gallery)


class TabledGPO(GPO):
    """GPO whose weights were computed for every length: they depend on nothing else, and a graph needs no GRU then.

    Args:
        pool: that it stands for.
        longest: N.
    """

    def __init__(self, pool: GPO, longest: int) -> None:
        nn.Module.__init__(self)
        with torch.no_grad():
            table = pool.weights(torch.arange(1, longest + 1), longest)
        self.register_buffer("table", table)

    def of_sets(self, mask: Tensor) -> Tensor:
        """As GPO.of_sets, for lengths of at most N."""
        return cast(Tensor, self.table)[mask.sum(1) - 1, : mask.shape[1]]


def _exportable(model: Method, longest: int) -> Method:
    """The model, changed where a graph would hold at the example's shapes alone: GPO, and fused attention."""
    for part in list(model.modules()):
        if hasattr(part, "set_attn_implementation"):
            cast(Any, part).set_attn_implementation("eager")
        for name, child in list(part.named_children()):
            if isinstance(child, GPO):
                setattr(part, name, TabledGPO(child, longest))
    return model


def _images(
    model: Method, inputs: Inputs, regions: int, batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """What images are read as, and (B, R) their mask, in which some regions are missing."""
    mask = torch.ones(batch, regions, dtype=torch.bool)
    if isinstance(model, TrainedBackbone):
        side = model.backbone.probe().shape[1:]
        return torch.rand(batch, *side, generator=generator), mask
    mask[0, 1:-1] = torch.rand(max(regions - 2, 0), generator=generator) > 0.5
    return torch.randn(batch, regions, inputs.region_features, generator=generator), mask


def _texts(
    config: RunConfig, inputs: Inputs, batch: int, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Token states or ids, and (B, T) their mask: texts of several lengths, the first of them the longest."""
    lengths = torch.randint(1, length + 1, (batch,), generator=generator)
    lengths[0] = length
    mask = torch.arange(length) < lengths[:, None]
    if config.encoder.text.kind == "tokens":
        return torch.randn(batch, length, inputs.token_features or 1, generator=generator) * mask[..., None], mask
    most = inputs.words or 5  # the first numbers of any tokenizer are tokens too
    return torch.randint(0, most, (batch, length), generator=generator) * mask, mask
