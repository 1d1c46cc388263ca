"""Raw images, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.data.load.image_features import ImageFeatures
from raytrain.data.load.readers import Regions
from raytrain.data.table import Table
from raytrain.errors import DataError, UsageError
from raytrain.retrieval.images import FrozenImages, open_picture
from tests.data.pictures import write_image

pillow = pytest.importorskip("PIL.Image", reason="decoding images needs pillow")


def test_files_bytes_and_images_are_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path)
    with pillow.open(path) as image:
        pictures = [open_picture(source) for source in (str(path), path, path.read_bytes(), image)]
    assert all(picture.tobytes() == pictures[0].tobytes() for picture in pictures)


@pytest.mark.parametrize("kind", ["huge", "text", "missing"])
def test_hostile_files_are_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    if kind == "huge":
        pillow.new("1", (10_000, 10_000)).save(path, "PNG")
    if kind == "text":
        path.write_text("no picture")
    with pytest.raises(DataError) as caught:
        open_picture(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_features_of_no_backbone_are_not_made_of_an_image(table: Table) -> None:
    images = FrozenImages(ImageFeatures.of(table.features, ["lite0"], "all", "t"), torch.device("cpu"))
    with pytest.raises(UsageError, match=r"no backbone here makes the features 'lite0' .*they are: made up"):
        images.read([pillow.new("RGB", (8, 8))])


@pytest.mark.parametrize("which", ["all", "global"])
def test_a_photo_goes_through_every_backbone_of_the_run(which: str, pictures: Table) -> None:
    names = ["wide_vit", "vit"]
    images = FrozenImages(ImageFeatures.of(pictures.features, names, which, "t"), torch.device("cpu"))
    files = [Path(str(pictures.image_root)) / f"{row}.jpg" for row in range(2)]
    stored = Regions(pictures, ",".join(names), which).read(np.arange(2), None, 0.0)
    made = images.read([open_picture(file) for file in files])
    assert made["regions"].shape[2] == 24 + 16
    torch.testing.assert_close(made["regions"], stored["regions"], rtol=1e-4, atol=1e-5)
    assert torch.equal(made["region_mask"], stored["region_mask"])
