"""Tokenisation of captions into words, and the vocabulary of text encoders that are trained from scratch."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.paths import refuse_pickle
from raytrain.errors import DataError, Problem
from raytrain.files import read_text

if TYPE_CHECKING:
    from raytrain.data.table import Table

SPECIALS = ("<pad>", "<start>", "<end>", "<unk>", "<mask>")
PAD, START, END, UNK, MASK = range(5)
CAPTIONS_AT_ONCE = 2**10  # small, since Arrow's memory pool keeps what one step allocates


@cache
def _tokenizer() -> Any:
    # imported here, since nltk takes a second to import and only building and retrieval need it
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


def tokenize(text: str) -> list[str]:
    """The words and punctuation marks of the lower-cased text, split by the Penn Treebank rules.

    Published loaders call nltk's `word_tokenize`, which first splits sentences with a model that has to be downloaded.
    Without that step, a full stop inside a caption of several sentences stays attached to its word.
    """
    return [str(token) for token in _tokenizer().tokenize(text.lower())]


class Vocabulary:
    """Words and their ids: <pad> 0, <start> 1, <end> 2, <unk> 3, <mask> 4, then words by decreasing count.

    Args:
        words: all words in the order of their ids, including the special ones.
    """

    def __init__(self, words: Sequence[str]) -> None:
        assert len(set(words)) == len(words), "a word appears twice"
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words)}
        # looked up, since public files number the special words otherwise and have <mask> last
        self.pad, self.start, self.end, self.unk = (self._numbers[word] for word in SPECIALS[:4])
        self.mask = self._numbers["<mask>"]

    def __len__(self) -> int:
        return len(self.words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.words == other.words

    __hash__ = None  # type: ignore[assignment]  # mutable, so not usable as a key

    @classmethod
    def count(cls, captions: Iterable[Sequence[str]], min_count: int = 4) -> Vocabulary:
        """The vocabulary of the words that occur at least `min_count` times; equal counts in alphabetical order."""
        return cls._counted(Counter(word for tokens in captions for word in tokens), min_count)

    @classmethod
    def _counted(cls, counts: Mapping[str, int], min_count: int) -> Vocabulary:
        kept = [word for word, number in counts.items() if number >= min_count and word not in SPECIALS]
        return cls([*SPECIALS, *sorted(kept, key=lambda word: (-counts[word], word))])

    @classmethod
    def from_table(cls, table: Table, min_count: int = 4, split: str = "train") -> Vocabulary:
        """The vocabulary of one split's captions; by default only train, so that the model never sees test captions."""
        tokens, rows = table.texts["tokens"], table.split(split).texts
        counts: Counter[str] = Counter()
        for start in range(0, len(rows), CAPTIONS_AT_ONCE):
            words, _ = _flat(tokens.take(rows[start : start + CAPTIONS_AT_ONCE]))
            word_counts = words.value_counts().flatten()
            counts.update(dict(zip(*(part.to_pylist() for part in word_counts), strict=True)))
        return cls._counted(counts, min_count)

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """The ids of the tokens, between <start> and <end>; unknown words are <unk>."""
        return [self.start, *(self._numbers.get(token, self.unk) for token in tokens), self.end]

    def numbers(self, captions: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """(ids of all captions, concatenated, number of ids per caption), each caption as in `ids`.

        Runs in Arrow, without creating Python strings.

        Args:
            captions: M lists of words, as a table stores them.
        """
        vocabulary_words = pa.array(self.words)
        counts = pc.list_value_length(captions).to_numpy().astype(np.int64) + 2
        # the smallest integer type, filled part by part, so that millions of captions are in memory only once
        ids = np.full(counts.sum(), self.end, np.min_scalar_type(len(self.words)))
        filled = 0
        for start in range(0, len(captions), CAPTIONS_AT_ONCE):
            words, lengths = _flat(captions.slice(start, CAPTIONS_AT_ONCE))
            part = ids[filled : filled + len(words) + 2 * len(lengths)]
            first = np.cumsum(lengths + 2) - lengths - 2
            part[first] = self.start
            inner = np.ones(len(part), bool)
            inner[first], inner[first + lengths + 1] = False, False
            part[inner] = pc.index_in(words, value_set=vocabulary_words).fill_null(self.unk).to_numpy()
            filled += len(part)
        return ids, counts

    def to_json(self) -> dict[str, Any]:
        return {"words": self.words}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], file: str = "vocabulary") -> Vocabulary:
        """The vocabulary from `to_json`, or from the public layout with word2idx, idx2word and idx.

        Public files have no <mask>; it is added after their last word.

        Args:
            value: the parsed JSON.
            file: its name, for errors.

        Raises:
            DataError: ids with gaps or repeats, repeated words, or missing special words.
        """

        def error(what: str) -> DataError:
            fix = 'Give {"words": [...]} or {"word2idx": {...}, "idx2word": {...}, "idx": n}.'
            return DataError(Problem(file, None, what, fix))

        if "words" in value:
            words = value["words"]
        elif isinstance(value.get("word2idx"), Mapping):
            numbers = value["word2idx"]
            if sorted(numbers.values()) != list(range(len(numbers))):
                raise error(f"word2idx does not number its {len(numbers)} words 0 to {len(numbers) - 1} once each")
            words = sorted(numbers, key=numbers.__getitem__)
        else:
            raise error(f"not a vocabulary: its keys are {sorted(value)}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise error("words is not a list of strings")
        if len(set(words)) != len(words):
            raise error("a word is listed twice")
        if missing := [word for word in SPECIALS[:4] if word not in words]:
            raise error(f"no {', '.join(missing)} among its words")
        return cls(words if "<mask>" in words else [*words, "<mask>"])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """The vocabulary in a JSON file of either layout.

        Raises:
            DataError: the file is not readable, a pickle, or not a vocabulary.
        """
        refuse_pickle(Path(path))
        try:
            value = json.loads(read_text(path))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(Problem(str(path), None, f"not readable as JSON: {error}", "Give a JSON file.")) from None
        if not isinstance(value, Mapping):
            raise DataError(Problem(str(path), None, "not a JSON object", "Give a vocabulary file."))
        return cls.from_json(value, str(path))


def _flat(captions: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """(words of all captions, concatenated, number of words per caption)."""
    lists = pa.concat_arrays(captions.chunks) if captions.num_chunks else pa.array([], captions.type)
    return lists.flatten(), lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
