"""Image backbones that train with a method, on tiny random models and pictures made by the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from raytrain.config import RunConfig
from raytrain.data.build import build
from raytrain.data.images import decode, target_pad
from raytrain.data.load.pixels import Pixels
from raytrain.data.table import Table
from raytrain.encoders.images import TransformersImages, VisionBackbone
from raytrain.errors import DataError, UsageError
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.scoring.feed import open_feed
from raytrain.training import checkpoint
from raytrain.training.build import build_method
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.data.pictures import entry, karpathy
from tests.data.triplets import products
from tests.encoders.tiny_models import clip, resnet, vit
from tests.runs import tiny

pytest.importorskip("transformers", reason="needs the extra `encode`")


@pytest.fixture
def pictures(tmp_path: Path) -> Table:
    root = karpathy(tmp_path / "root", [entry(n, ("train", "val", "test")[n % 3]) for n in range(18)])
    return build("karpathy", root, tmp_path / "table")


def config(table: Table, storage: Path, model: Path, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "encoder__text__kind": "bigru", "encoder__image__kind": "transformer", "encoder__image__path": str(model),
        "encoder__image__lr_scale": 1.0, "optim__batch_size": 6, "optim__lr": 1e-2,
    }  # fmt: skip
    return tiny(table, storage, **{**settings, **changes})


def trained(made: RunConfig) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights before and after a run."""
    tables = open_tables(made)
    torch.manual_seed(made.seed)
    before = build_method(made, open_feed(made, tables["train"].table)).state_dict()
    fit(made, tables)
    best = checkpoint.best(made.folder)
    assert best is not None
    return before, checkpoint.load(best).weights


@pytest.mark.parametrize("model", [vit, clip, resnet])
def test_a_backbone_trains_is_saved_and_evaluates(
    model: Callable[[Path], Path], pictures: Table, tmp_path: Path
) -> None:
    made = config(pictures, tmp_path, model(tmp_path / "model"))
    before, after = trained(made)
    inside = [name for name in before if name.startswith("backbone.")]
    assert inside
    statistics = [name for name in inside if "running" in name or "num_batches" in name]
    assert bool(statistics) == (model is resnet)
    for name in statistics:  # frozen batch norm
        assert torch.equal(before[name], after[name]), name
    moved = [name for name in inside if not torch.equal(before[name], after[name])]
    assert len(moved) > len(inside) / 3
    assert evaluate_run(made.folder)["metrics"]["rsum"] > 0


def test_batch_norm_that_is_not_frozen_follows_the_images(pictures: Table, tmp_path: Path) -> None:
    made = config(pictures, tmp_path, resnet(tmp_path / "model"), encoder__image__frozen_batch_norm=False)
    before, after = trained(made)
    statistics = [name for name in before if name.startswith("backbone.") and "running_mean" in name]
    assert any(not torch.equal(before[name], after[name]) for name in statistics)


@pytest.mark.parametrize("regions", ["all", "global"])
def test_rau_fine_tunes_both_towers_of_a_clip(regions: str, tmp_path: Path) -> None:
    table = build("products", products(tmp_path / "root"), tmp_path / "table")
    model = clip(tmp_path / "model")
    made = config(
        table, tmp_path, model, method__kind="rau", optim__batch_size=2, encoder__text__kind="transformer",
        encoder__text__path=str(model), data__max_words=12, data__regions=regions, encoder__pooling="mean",
    )  # fmt: skip
    before, after = trained(made)
    for start in ("backbone.", "method.text.transformer."):
        assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith(start))
    assert evaluate_run(made.folder)["metrics"]["recall_at_50"] == 100


def test_pixels_are_those_that_the_model_prepares_from_the_files(pictures: Table, tmp_path: Path) -> None:
    backbone = VisionBackbone(str(vit(tmp_path / "model")))
    made = Pixels(pictures, backbone.preprocess, backbone.regions, backbone.width, pad=1.1)
    batch = made.read(np.array([3, 0]), np.full((2, 17), 0.9), 0.95)
    for pixels, item in zip(batch["regions"], (3, 0), strict=True):
        image = decode(pictures.image_root / pictures.items["file"][item].as_py())
        torch.testing.assert_close(pixels, backbone.preprocess(target_pad(image, 1.1)))
    assert batch["region_mask"].all()  # all regions were to be dropped, and an image keeps them then
    (pictures.image_root / pictures.items["file"][3].as_py()).write_bytes(b"no image")
    with pytest.raises(DataError, match="not a JPEG"):
        made.read(np.array([3, 0]), None, 0.0)


def test_regions_of_a_trained_and_of_a_frozen_backbone_are_the_same(tmp_path: Path) -> None:
    path = str(clip(tmp_path / "model"))
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    trains = VisionBackbone(path)
    torch.testing.assert_close(trains(pixels), TransformersImages(path)(pixels))
    trains(pixels).sum().backward()
    assert all(parameter.grad is not None for parameter in trains.parameters())


def test_a_table_without_images_is_refused(tmp_path: Path) -> None:
    table = Mock(items={"file": Mock(to_pylist=lambda: ["", ""])}, path="somewhere")
    with pytest.raises(UsageError, match="somewhere names no image files"):
        Pixels(table, Mock(), 4, 8)
