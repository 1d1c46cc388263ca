"""Images of a table as pixels: by threads and by processes alike, augmented by the numbers of the batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.config import DataConfig
from raytrain.data.build import build
from raytrain.data.images import decode
from raytrain.data.load.augmentation import Augmentation
from raytrain.data.load.batches import TrainBatches
from raytrain.data.load.pixels import Pixels
from raytrain.data.load.readers import TextReader
from raytrain.data.table import Split, Table
from raytrain.errors import DataError
from tests.data.pictures import entry, karpathy, write_image

if TYPE_CHECKING:
    from PIL.Image import Image

pytest.importorskip("PIL.Image", reason="needs Pillow (extra `encode`)")
STRONG = Augmentation(crop=0.3, flip=True, colour=0.4)


def eight_by_eight(image: Image) -> Tensor:
    """(3, 8, 8) pixels."""
    return torch.from_numpy(np.asarray(image.resize((8, 8))).astype(np.float32)).permute(2, 0, 1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("pictures")
    root = karpathy(folder / "root", [entry(n, ("train", "val", "test")[n % 3]) for n in range(12)])
    return build("karpathy", root, folder / "table")


class NoTexts:
    """Captions of nothing."""

    longest = 1

    def read(self, texts: np.ndarray, draws: np.ndarray | None, drop: float) -> dict[str, Tensor]:
        return {"text": torch.zeros(len(texts), 1), "text_mask": torch.ones(len(texts), 1, dtype=torch.bool)}

    def same(self, texts: np.ndarray, others: np.ndarray) -> np.ndarray:
        return others


def batches(table: Table, rank: int = 0, world: int = 1) -> TrainBatches:
    pixels = Pixels(table, eight_by_eight, 2, 4, augmentation=STRONG)
    texts: TextReader = NoTexts()
    return TrainBatches(Split(table, "train"), pixels, texts, DataConfig(table=""), 4, 0, rank, world)


def test_a_resumed_epoch_sees_the_images_that_an_uninterrupted_one_sees(pictures: Table) -> None:
    first, second = batches(pictures).epoch(1)
    (again,) = batches(pictures).epoch(1, first_step=1)
    assert torch.equal(second["regions"], again["regions"])
    other_epoch = next(batches(pictures).epoch(2))
    assert not any(torch.equal(a, b) for a in first["regions"] for b in other_epoch["regions"])


def test_two_ranks_see_the_images_of_one(pictures: Table) -> None:
    whole = next(batches(pictures).epoch(0))
    halves = [next(batches(pictures, rank, 2).epoch(0)) for rank in range(2)]
    for name in ("regions", "region_mask"):
        assert torch.equal(whole[name], torch.cat([half[name] for half in halves]))


def test_evaluation_is_not_augmented(pictures: Table) -> None:
    items = np.array([3, 0])
    plain, strong = (Pixels(pictures, eight_by_eight, 2, 4, augmentation=how) for how in (None, STRONG))
    expected = plain.read(items, None, 0.0)["regions"]
    assert torch.equal(strong.read(items, None, 0.0)["regions"], expected)
    assert not torch.equal(strong.read(items, np.full((2, 10), 0.3), 0.0)["regions"], expected)


def test_processes_load_what_threads_load_and_hand_their_errors_on(pictures: Table) -> None:
    draws = np.random.default_rng(0).random((5, 10))
    items = np.array([4, 1, 0, 9, 7])
    by_threads = Pixels(pictures, eight_by_eight, 2, 4, augmentation=STRONG)
    by_processes = Pixels(pictures, eight_by_eight, 2, 4, augmentation=STRONG, processes=1)
    for given in (draws, None):
        one, other = (reader.read(items, given, 0.5) for reader in (by_threads, by_processes))
        assert all(torch.equal(one[name], other[name]) for name in one)
    path = pictures.image_root / by_processes.loader.files[4]
    content = path.read_bytes()
    path.write_bytes(b"no image")
    try:
        with pytest.raises(DataError, match="not a JPEG"):
            by_processes.read(items, None, 0.0)
    finally:
        path.write_bytes(content)
        by_processes.pool.shutdown()


def test_a_draft_is_decoded_at_the_least_size_that_is_enough(tmp_path: Path) -> None:
    write_image(tmp_path / "large.jpg", size=(640, 480))
    write_image(tmp_path / "large.png", size=(640, 480))
    sizes = [decode(tmp_path / "large.jpg", draft_side=side).size for side in (60, 61, 240, 241)]
    assert sizes == [(80, 60), (160, 120), (320, 240), (640, 480)]
    assert decode(tmp_path / "large.png", draft_side=60).size == (640, 480)
