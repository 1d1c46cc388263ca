"""Tiny randomly initialised transformers models, written as a user would have them: config, safetensors, processor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "runs", "on", "grass", "."]


def _processor(path: Path) -> None:
    size = {"height": 32, "width": 32}
    values = {"do_resize": True, "size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    kind = {"image_processor_type": "ViTImageProcessor"}
    (path / "preprocessor_config.json").write_text(json.dumps({**kind, **values}))


def tokenizer(path: Path) -> None:
    """A word-piece tokenizer of twelve words."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    path.mkdir(parents=True, exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer.from_pretrained(str(path)).save_pretrained(str(path))


def vit(path: Path, width: int = 16) -> Path:
    """Patches of 8 in 32 px: 16 patches and a class token; `width` wide."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=width, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(str(path))
    _processor(path)
    return path


def resnet(path: Path) -> Path:
    """A convolutional model whose last map at 32 px is 1 x 1 with 16 channels."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    transformers.ResNetModel(config).save_pretrained(str(path))
    _processor(path)
    return path


def clip(path: Path) -> Path:
    """Both towers: 4 patches and a class token, 16 wide; text 12 wide."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    torch.manual_seed(0)
    common = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config={"vocab_size": len(WORDS), "hidden_size": 12, "max_position_embeddings": 16, **common, **ends},
        vision_config={"hidden_size": 16, "image_size": 32, "patch_size": 16, **common},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(str(path))
    tokenizer(path)
    _processor(path)
    return path


def bert(path: Path) -> Path:
    """A text model, 12 wide, of at most 16 tokens."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `encode`")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(str(path))
    tokenizer(path)
    return path
