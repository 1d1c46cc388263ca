"""The heads that recipes on frozen features share."""

from __future__ import annotations

from raytrain.config import EncoderConfig


def mlp_heads(image_dropout: float, text_dropout: float) -> EncoderConfig:
    """One vector per image and per caption (D 512): means of features, each through an MLP with a linear skip."""
    return EncoderConfig(
        dim=512,
        pooling="mean",
        image_head="mlp",
        text_head="mlp",
        head_hidden=512,
        head_activation="gelu",
        image_dropout=image_dropout,
        text_dropout=text_dropout,
        text_pool_first=True,
    )
