"""A method over a backbone that trains: what it hands through, and what of the backbone it shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raytrain.config import TransformerImages
from raytrain.methods.base import Batch, Method, StepContext
from raytrain.methods.trained_backbone import TrainedBackbone


class Backbone(nn.Module):
    """Three regions of two numbers each, from 3 x 2 x 1 pixels; two layers and what stands before them."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Linear(2, 2)
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))

    def forward(self, pixels: Tensor) -> Tensor:
        rows: Tensor = self.embeddings(pixels.flatten(2))
        for layer in self.layers:
            rows = layer(rows)
        return rows


class Recorder(Method):
    """A method that keeps the batches it is given."""

    lr_scales = {"image.": 0.5}  # noqa: RUF012
    noise_shape = (2, 8)
    local_features = True

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []

    def encode_query(self, batch: Batch) -> Tensor:
        self.batches.append(batch)
        return batch["regions"][:, 0]

    encode_gallery = encode_query

    def uncertainty(self, batch: Batch) -> Tensor | None:
        self.batches.append(batch)
        return batch["regions"][:, 0, 0]

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        return 7

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        return query @ gallery.T

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        self.batches.append(batch)
        self.context = context
        return {"loss": batch["regions"].square().sum()}


def pixels(seed: int = 0) -> Tensor:
    return torch.randn(4, 3, 2, 1, generator=torch.Generator().manual_seed(seed))


def build(which: str = "all", **changes: Any) -> tuple[TrainedBackbone, Recorder, Backbone]:
    torch.manual_seed(0)
    method, backbone = Recorder(), Backbone()
    config = TransformerImages(path="somewhere", **changes)
    return TrainedBackbone(method, backbone, config, which), method, backbone  # type: ignore[arg-type]


@pytest.mark.parametrize("which", ["all", "global"])
def test_the_method_sees_regions_in_place_of_pixels_and_the_rest_as_it_is(which: str) -> None:
    trained, method, backbone = build(which)
    mask = torch.ones(4, 3, dtype=torch.bool)
    given = {"regions": pixels(), "reference": pixels(1), "region_mask": mask}
    context = StepContext(1.5, 4)
    trained.encode_query(given), trained.encode_gallery(given), trained.uncertainty(given), trained(given, context)
    assert len(method.batches) == 4 and method.context is context
    for seen in method.batches:
        for name in ("regions", "reference"):
            regions = backbone(given[name])
            torch.testing.assert_close(seen[name], regions[:, -1:] if which == "global" else regions)
        assert seen["region_mask"] is mask
    assert given["regions"].shape == (4, 3, 2, 1)  # the batch itself is left alone


def test_captions_alone_need_no_images() -> None:
    trained, method, _ = build()
    text = torch.zeros(4, 5)
    with pytest.raises(KeyError):  # the recorder reads regions, which a batch of captions lacks
        trained.encode_query({"text": text})
    assert method.batches[0].keys() == {"text"}


def test_scores_costs_and_the_shape_of_the_noise_are_the_methods() -> None:
    trained, _, _ = build()
    query = torch.eye(2)
    assert torch.equal(trained.similarity(query, 2 * query), 2 * query)
    assert trained.pair_cost(query, query) == 7
    assert (trained.noise_shape, trained.local_features, trained.prefix) == ((2, 8), True, "method.")


def test_learning_rates_are_the_methods_and_those_of_the_backbones_layers() -> None:
    trained, _, _ = build(lr_scale=0.1, layer_decay=0.5)
    assert trained.lr_scales == pytest.approx({
        "method.image.": 0.5, "backbone.": 0.1, "backbone.layers.1.": 0.1, "backbone.layers.0.": 0.05,
        "backbone.embeddings.": 0.025,
    })  # fmt: skip


@pytest.mark.parametrize("which", ["all", "global"])
def test_gradients_reach_the_backbone(which: str) -> None:
    trained, _, backbone = build(which)
    trained({"regions": pixels()})["loss"].backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
