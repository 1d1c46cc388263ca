"""EfficientNet-Lite: its padding, its size, its residuals, and batch norm folded into the convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from raytrain.encoders import efficientnet
from raytrain.encoders.efficientnet import STAGES, Block, EfficientNetLite, SameConv, Stage, fold_batch_norm, scaled


def unsettle(model: nn.Module) -> nn.Module:
    """Batch norm with weights and statistics that are not where they start; float64, frozen, in evaluation mode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.double().eval().requires_grad_(False)


@pytest.mark.parametrize(("size", "kernel"), [(8, 3), (7, 3), (8, 5), (9, 5)])
def test_strided_convolution_pads_as_tensorflow_does(size: int, kernel: int) -> None:
    conv = SameConv(1, 1, kernel, 2, bias=False)
    nn.init.ones_(conv.weight)
    row = torch.arange(1.0, size + 1)
    out = conv(row.expand(size, size)[None, None])[0, 0]
    assert out.shape == (-(-size // 2),) * 2
    # by hand: the window of output j starts at 2 j - (all padding) // 2, in a row in the middle
    total = max((-(-size // 2) - 1) * 2 + kernel - size, 0)
    expected = [
        sum(float(row[i]) for i in range(2 * j - total // 2, 2 * j - total // 2 + kernel) if 0 <= i < size)
        for j in range(-(-size // 2))
    ]
    np.testing.assert_allclose(out[1].tolist(), [kernel * value for value in expected])


def test_a_convolution_without_stride_is_torchs_same_convolution() -> None:
    torch.manual_seed(0)
    conv = SameConv(2, 3, 5)
    x = torch.randn(1, 2, 6, 7)
    assert conv.bias is not None
    expected = nn.functional.conv2d(x, conv.weight, conv.bias, padding="same")
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize(("channels", "stride", "residual"), [(4, 1, True), (4, 2, False), (3, 1, False)])
def test_a_block_is_added_to_its_input_only_where_the_shapes_are_equal(
    channels: int, stride: int, residual: bool
) -> None:
    torch.manual_seed(0)
    block = unsettle(Block(channels, Stage(repeats=1, kernel=3, stride=stride, expansion=2, channels=4), stride))
    x = torch.randn(1, channels, 6, 6, dtype=torch.float64)
    out = block(x)
    assert out.shape == (1, 4, 6 // stride, 6 // stride)
    # a projection of zero leaves the last batch norm's constant, and the input where it is added
    nn.init.zeros_(block._project_conv.weight)
    constant = block._bn2(torch.zeros_like(out))
    torch.testing.assert_close(block(x), x + constant if residual else constant)


@pytest.mark.parametrize(
    ("width", "depth", "parameters", "blocks"),
    [(1, 1, 4_652_008, 16), (1, 1.1, 5_416_680, 21), (1.1, 1.2, 6_092_072, 21)],
)
@torch.no_grad()
def test_the_network_has_the_published_size_and_strides(
    width: float, depth: float, parameters: int, blocks: int
) -> None:
    with torch.device("meta"):
        model = EfficientNetLite(width, depth)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(model._blocks) == blocks
    model.to_empty(device="cpu").eval()  # weights that are not initialised do for shapes
    assert model.maps(torch.zeros(2, 3, 64, 96)).shape == (2, 1280, 2, 3)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 1000)


def test_scaled_stages_round_channels_to_eights_and_repeats_up() -> None:
    assert scaled(STAGES, 1.0, 1.0) == STAGES
    stages = scaled(STAGES, 1.1, 1.2)  # Lite2
    assert [stage.channels for stage in stages] == [16, 24, 48, 88, 120, 208, 352]
    assert [stage.repeats for stage in stages] == [1, 3, 3, 4, 4, 5, 1]
    # 10.5 would round to 8, which is less than 0.9 of it
    assert scaled((Stage(1, 3, 1, 1, 10),), 1.05, 1.0)[0].channels == 16


def test_folded_batch_norm_changes_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    # a block without expansion, one with stride and one with a residual stand for all sixteen
    monkeypatch.setattr(efficientnet, "STAGES", (Stage(1, 3, 1, 1, 16), Stage(2, 5, 2, 6, 24)))
    torch.manual_seed(0)
    model = unsettle(EfficientNetLite(classes=3))
    assert isinstance(model, EfficientNetLite)
    pixels = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    before = model.maps(pixels)
    fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    torch.testing.assert_close(model.maps(pixels), before, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model(pixels), model._fc(before.mean((2, 3))), rtol=1e-9, atol=1e-9)
