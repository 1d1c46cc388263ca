"""Gradient caching: a batch embedded in parts trains as the whole batch does, for every method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raytrain.config import RunConfig
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.distributed import gather
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, Method, StepContext
from raytrain.scoring.feed import open_feed
from raytrain.training import gradient_cache
from raytrain.training.build import build_method, open_batches
from raytrain.training.gradient_cache import GradientCache, split_batch
from raytrain.training.run import open_tables
from raytrain.training.train_state import trainable, training_input
from tests.data.pictures import entry, karpathy
from tests.distributed.two_ranks import METHODS
from tests.encoders.tiny_models import clip, resnet
from tests.runs import tiny
from tests.tables import make_query_table, make_table

CPU = torch.device("cpu")
HALF: dict[str, Any] = {"method__kind": "half_queries", "optim__batch_size": 12}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    folder = tmp_path_factory.mktemp("parts")
    return {
        "plain": make_table(folder / "plain"),
        "ragged": make_table(folder / "ragged", ragged=True),
        "query": make_query_table(folder / "query"),
    }


def step(config: RunConfig, parts: int, epoch: float = 2.0) -> dict[str, Tensor]:
    """Losses, gradients and buffers of the first batch, embedded in so many parts."""
    splits = open_tables(config)
    feed = open_feed(config, splits["train"].table)
    torch.manual_seed(0)
    model = build_method(config, feed).train()
    module = trainable(model, parts, CPU).train()
    batch = next(open_batches(config, splits["train"], feed, model.noise_shape).epoch(0))
    torch.manual_seed(1)
    losses = module(training_input(batch, parts, CPU), StepContext(epoch, 5, gather))
    losses["loss"].backward()
    numbers = {f"loss/{name}": value.detach() for name, value in losses.items()}
    numbers |= {f"gradient/{name}": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return numbers | {f"buffer/{name}": buffer.clone() for name, buffer in model.named_buffers()}


def check_equal(numbers: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    """Equal up to the order of sums: relative to values above 1, and for gradients to the largest of the model."""
    assert numbers.keys() == expected.keys()
    largest = max(float(value.abs().max()) for name, value in expected.items() if name.startswith("gradient"))
    for name, value in expected.items():
        scale = max(1.0, largest if name.startswith("gradient") else float(value.abs().max()))
        error = float((numbers[name] - value).abs().max()) if value.numel() else 0.0
        assert error <= tolerance * scale, f"{name} is off by {error}, and values are up to {scale}"


@pytest.mark.parametrize("name", [*(name for name in METHODS if name != "pcmepp-mixed"), "query-half"])
def test_three_parts_equal_the_whole_batch(name: str, tables: dict[str, Table], tmp_path: Path) -> None:
    changes = METHODS.get(name, HALF)
    kind = name.partition("-")[0 if name.startswith("query") else 2]
    config = tiny(tables.get(kind, tables["plain"]), tmp_path, **changes)
    check_equal(step(config, 3), step(config, 1))


def pictures(folder: Path) -> Table:
    root = karpathy(folder / "root", [entry(n, ("train", "val", "test")[n % 3]) for n in range(18)])
    return build("karpathy", root, folder / "pictures")


@pytest.mark.parametrize("model", [clip, resnet])
def test_backbones_that_train_give_the_same_gradient_in_parts_and_with_their_layers_computed_again(
    model: Callable[[Path], Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "encoder__image__kind": "transformer", "encoder__image__path": str(model(tmp_path / "model")),
        "encoder__text__kind": "transformer", "encoder__text__path": str(clip(tmp_path / "text")),  # without dropout
        "method__kind": "vse_infinity", "data__max_words": 12, "optim__batch_size": 6,
    }  # fmt: skip
    table = pictures(tmp_path)
    whole = step(tiny(table, tmp_path, **changes), 1)
    assert any(name.startswith("gradient/backbone.") for name in whole)
    again = {"encoder__text__recompute": True, "encoder__image__recompute": model is clip}
    check_equal(step(tiny(table, tmp_path, **changes, **again), 3), whole)


def test_dropout_draws_the_same_masks_when_a_part_is_computed_again(
    tables: dict[str, Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(tables["plain"], tmp_path, encoder__image_dropout=0.5, encoder__image_head="mlp")
    cached = step(config, 3)
    monkeypatch.setattr(gradient_cache, "checkpoint", lambda work, *given, **options: work(*given))
    kept = step(config, 3)
    assert all(torch.equal(cached[name], value) for name, value in kept.items())


def test_a_part_keeps_fewer_numbers_for_the_way_back(tables: dict[str, Table], tmp_path: Path) -> None:
    config = tiny(tables["plain"], tmp_path, encoder__dim=64)

    def kept_bytes(parts: int) -> int:
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            step(config, parts)
        return sum(kept.values())

    assert kept_bytes(4) < 0.7 * kept_bytes(1)


def test_a_part_has_its_images_with_all_their_captions() -> None:
    batch = {
        "regions": torch.arange(3.0)[:, None, None], "region_mask": torch.ones(3, 1, dtype=torch.bool),
        "text": torch.arange(6), "text_mask": torch.ones(6, 1, dtype=torch.bool),
        "image_id": torch.tensor([7, 4, 4, 4, 9, 9]), "item_id": torch.tensor([7, 4, 9]),
    }  # fmt: skip
    first, second = split_batch(batch, 2)
    assert first["item_id"].tolist() == [7] and first["text"].tolist() == [0]
    assert second["item_id"].tolist() == [4, 9] and second["image_id"].tolist() == [4, 4, 4, 9, 9]
    with pytest.raises(UsageError, match=r"optim.parts=4 is more than the 3 rows"):
        split_batch(batch, 4)


def test_what_cannot_be_embedded_in_parts_is_refused(tables: dict[str, Table], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"use method\.mix=none"):
        step(tiny(tables["plain"], tmp_path, **METHODS["pcmepp-mixed"]), 2)
    backbone = {"encoder__image__kind": "transformer", "encoder__image__path": str(resnet(tmp_path / "model"))}
    moving = tiny(pictures(tmp_path), tmp_path, **backbone, encoder__image__frozen_batch_norm=False,
                  encoder__text__kind="bigru", optim__batch_size=6)  # fmt: skip
    with pytest.raises(UsageError, match=r"frozen_batch_norm=true, or optim\.parts=1"):
        step(moving, 2)


class GathersOnceMoreLater(Method):
    """Gathers its rows a second time from the second epoch on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        assert context is not None
        rows = [context.gather(self.layer(batch["regions"])) for _ in range(1 + (context.epoch >= 1))]
        return {"loss": sum((part.square().sum() for part in rows), torch.zeros(()))}


def test_a_method_that_gathers_more_often_later_is_refused() -> None:
    cache = GradientCache(GathersOnceMoreLater())
    parts = [{"regions": torch.ones(2, 2), "text": torch.ones(2)}] * 2
    cache(parts, StepContext(0.0, 2))["loss"].backward()
    with pytest.raises(UsageError, match=r"GathersOnceMoreLater\.forward gathers more often in some steps"):
        cache(parts, StepContext(1.0, 2))
