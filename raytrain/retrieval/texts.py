"""Texts that are in no table as the batches that a run's model reads: its words, pieces or token states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from torch.nn.utils.rnn import pad_sequence

from raytrain.config import RunConfig, TransformerText
from raytrain.data.load.readers import Batch, TokenIds
from raytrain.data.load.words import Vocabulary, tokenize
from raytrain.data.table.description import Feature
from raytrain.encoders.tokens import TokenStates, load_tokenizer
from raytrain.errors import UsageError
from raytrain.retrieval.backbones import backbone_of, check_backbone

MAX_CHARACTERS = 10_000
_NO_AUGMENTATION = (0, 1)


def check_text(text: str) -> None:
    """Raises UsageError for a query without a visible character, or of more than MAX_CHARACTERS."""
    if not text.strip():
        raise UsageError("the text to search by is empty; write what to look for")
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"the text to search by has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")


class TextInput(Protocol):
    """Texts -> the keys "text" and "text_mask" of a batch, as the readers of a table make them.

    Attributes:
        notes: what is worth knowing of how it prepares texts.
    """

    notes: list[str]

    def read(self, texts: Sequence[str]) -> Batch: ...


def text_input(
    config: RunConfig, features: Mapping[str, Feature], vocabulary: Vocabulary | None, device: torch.device
) -> TextInput:
    """What prepares texts as a run reads them.

    Args:
        features: those that the run was trained on, by name.
        vocabulary: of the run's checkpoint; None unless it reads words.
        device: of a frozen text model.
    """
    if vocabulary is not None:
        return Words(vocabulary, config.data.max_words)
    if isinstance(config.encoder.text, TransformerText):
        return Pieces(config.encoder.text.path, config.data.max_words)
    assert config.data.text_features is not None
    return FrozenStates(features[config.data.text_features], config.data.max_words, device)


class Words:
    """Texts as words of the run's own vocabulary.

    Args:
        vocabulary: of the run's checkpoint.
        max_words: longer texts are cut to this many words, the start and the end word among them.
    """

    def __init__(self, vocabulary: Vocabulary, max_words: int) -> None:
        self.vocabulary, self.max_words = vocabulary, max_words
        self.notes: list[str] = []

    def read(self, texts: Sequence[str]) -> Batch:
        tokens = pa.chunked_array([[tokenize(text) for text in texts]], pa.list_(pa.string()))
        ids = TokenIds(*self.vocabulary.numbers(tokens), self.vocabulary.mask, _NO_AUGMENTATION, self.max_words)
        return ids.read(np.arange(len(texts)), None, 0.0)


class Pieces:
    """Texts as word pieces of a transformer that trained with the method.

    Args:
        path: as in `encoders.tokens.load_tokenizer`.
        max_words: longer texts are cut to this many pieces.
    """

    def __init__(self, path: str, max_words: int) -> None:
        self.tokenizer, self.max_words = load_tokenizer(path), max_words
        self.notes: list[str] = []

    def read(self, texts: Sequence[str]) -> Batch:
        pieces = self.tokenizer(list(texts), truncation=True, max_length=self.max_words)["input_ids"]
        lengths = np.array([len(numbers) for numbers in pieces])
        ids = TokenIds(np.concatenate([np.array(numbers) for numbers in pieces]), lengths, -1, _NO_AUGMENTATION,
                       self.max_words)  # fmt: skip
        return ids.read(np.arange(len(texts)), None, 0.0)


class FrozenStates:
    """Texts as token states of the frozen model that made those of a table, which is loaded when it is needed.

    States are rounded to the type in which the table stores them, as those of the table are.

    Args:
        feature: of the table that the run was trained on.
        max_words: longer texts are cut to this many states.
        device: of the text model.
    """

    def __init__(self, feature: Feature, max_words: int, device: torch.device) -> None:
        self.feature, self.max_words, self.device = feature, max_words, device
        self.dtype: torch.dtype = getattr(torch, feature.dtype)
        self.encoder: TokenStates | None = None
        self.notes: list[str] = []

    def read(self, texts: Sequence[str]) -> Batch:
        """The batch of these texts.

        Raises:
            UsageError: `data encode` did not make the states, or the model cannot be loaded.
            RefusedError: the model has other weights now.
        """
        encoder = self.encoder or self._load()
        states = [state.to(self.dtype).float()[: self.max_words] for state in encoder(texts)]
        lengths = torch.tensor([len(state) for state in states])
        padded = pad_sequence(states, batch_first=True)
        return {"text": padded, "text_mask": torch.arange(padded.shape[1]) < lengths[:, None]}

    def _load(self) -> TokenStates:
        name = backbone_of(self.feature)
        if name is None:
            made_by = self.feature.encoder.get("backbone", "unknown")
            raise UsageError(
                f"no text model here makes the token states '{self.feature.name}' of a text (they are: {made_by}); "
                "search by the table's own images"
            )
        self.encoder = TokenStates(name).to(self.device)
        self.notes += check_backbone(self.feature, self.encoder.facts)
        return self.encoder
