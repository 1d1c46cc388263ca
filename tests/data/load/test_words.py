"""Words and vocabularies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.data.load import words
from raytrain.data.load.words import END, MASK, PAD, SPECIALS, START, UNK, Vocabulary, tokenize
from raytrain.data.table import Table
from raytrain.errors import DataError


def test_words_are_lower_case_with_punctuation_apart() -> None:
    assert tokenize("A dog's ball, isn't it?") == ["a", "dog", "'s", "ball", ",", "is", "n't", "it", "?"]
    assert tokenize("") == []


def test_rare_words_are_unknown_and_order_is_by_count_then_alphabet() -> None:
    vocabulary = Vocabulary.count([["b", "a", "c"], ["b", "a"], ["b", "d"]], min_count=2)
    assert vocabulary.words == [*SPECIALS, "b", "a"]
    assert vocabulary.ids(["a", "c"]) == [START, 6, UNK, END]
    assert (vocabulary.pad, vocabulary.mask, len(vocabulary)) == (PAD, MASK, 7)


def test_a_caption_cannot_speak_a_special_word_into_the_vocabulary() -> None:
    vocabulary = Vocabulary.count([["<pad>", "<pad>", "x"]], min_count=1)
    assert vocabulary.words == [*SPECIALS, "x"]


def test_only_the_training_captions_count(table: Table) -> None:
    rows = table.split("train").texts.tolist()
    words = {word for row in rows for word in table.texts["tokens"][row].as_py()}
    assert set(Vocabulary.from_table(table, 1).words) == words | set(SPECIALS)


def test_json_round_trip(tmp_path: Path) -> None:
    vocabulary = Vocabulary.count([["a", "b"]], 1)
    path = tmp_path / "words.json"
    path.write_text(json.dumps(vocabulary.to_json()))
    assert Vocabulary.load(path) == vocabulary


def test_the_public_layout_keeps_its_numbers_and_gains_a_mask(tmp_path: Path) -> None:
    words = ["<pad>", "<start>", "<end>", "<unk>", "dog", "cat"]
    public = {
        "word2idx": {word: number for number, word in enumerate(words)},
        "idx2word": {str(number): word for number, word in enumerate(words)},
        "idx": 6,
    }
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(public))
    vocabulary = Vocabulary.load(path)
    assert vocabulary.ids(["cat", "dog", "cow"]) == [1, 5, 4, 3, 2]
    assert vocabulary.mask == 6


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"nothing": 1}',
        '{"word2idx": {"<pad>": 0, "<start>": 2}}',
        '{"words": ["a", "b"]}',
        '{"words": ["<pad>", "<start>", "<end>", "<unk>", "a", "a"]}',
        '{"words": [1, 2]}',
    ],
)
def test_a_broken_vocabulary_is_a_data_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        Vocabulary.load(path)
    assert caught.value.problems[0].file == str(path)


def test_a_pickled_vocabulary_is_not_read(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps({"word2idx": {}}))
    with pytest.raises(DataError, match="JSON"):
        Vocabulary.load(path)


def test_a_pickled_vocabulary_is_refused_with_the_json_to_use_instead(tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(b"cos\nsystem\n")
    with pytest.raises(DataError, match=r"pickles are never read, since they can run code.*vocab\.json"):
        Vocabulary.load(path)


def test_a_table_is_counted_and_numbered_in_parts_as_caption_by_caption(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "CAPTIONS_AT_ONCE", 7)
    captions = table.texts["tokens"].to_pylist()
    train = [captions[row] for row in table.split("train").texts]
    vocabulary = Vocabulary.from_table(table, 26)
    assert vocabulary == Vocabulary.count(train, 26)
    ids, lengths = vocabulary.numbers(table.texts["tokens"])
    expected = [vocabulary.ids(caption) for caption in captions]
    assert any(vocabulary.unk in caption for caption in expected)
    assert lengths.tolist() == [len(caption) for caption in expected]
    assert ids.tolist() == [number for caption in expected for number in caption]
