"""Readers of features and captions, and their augmentation."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pytest

from raytrain.data.load import readers
from raytrain.data.load.readers import Regions, TokenIds, TokenStates
from raytrain.data.load.words import Vocabulary
from raytrain.data.table import Table
from raytrain.errors import UsageError
from tests.tables import add_images, make_query_table, make_table


def test_about_the_asked_share_of_regions_is_dropped_and_never_all(table: Table) -> None:
    regions = Regions(table, "lite0")
    draws = np.random.default_rng(0).random((200, 5))
    mask = regions.read(np.zeros(200, dtype=int), draws, 0.4)["region_mask"]
    assert 0.5 < mask.float().mean().item() < 0.7
    assert regions.read(np.zeros(3, dtype=int), np.zeros((3, 5)), 0.4)["region_mask"].all()
    assert regions.read(np.zeros(3, dtype=int), None, 0.4)["region_mask"].all()


def token_ids(captions: list[list[int]], max_words: int = 64) -> TokenIds:
    """Captions of numbers between 1 and 2; 4 is the mask, words are 5 to 999."""
    lengths = np.array([len(caption) for caption in captions])
    return TokenIds(np.concatenate(captions), lengths, mask=4, ordinary=(5, 1000), max_words=max_words)


def numbers_of(texts: TokenIds, text: int) -> list[int]:
    return texts.read(np.array([text]), None, 0.0)["text"][0].tolist()  # type: ignore[no-any-return]


def test_of_the_words_chosen_half_are_masked_a_tenth_random_the_rest_removed() -> None:
    ids = token_ids([[1, *range(10, 20), 2]] * 2000)
    batch = ids.read(np.arange(2000), np.random.default_rng(0).random((2000, 12)), 0.2)
    rows = [row[mask].numpy() for row, mask in zip(batch["text"], batch["text_mask"], strict=True)]
    assert all(row[0] == 1 and row[-1] == 2 for row in rows)
    assert not batch["text"][~batch["text_mask"]].any()
    words = np.concatenate([row[1:-1] for row in rows])
    total = 2000 * 10
    assert (words == 4).sum() / total == pytest.approx(0.1, abs=0.01)
    assert (words >= 20).sum() / total == pytest.approx(0.02, abs=0.004)
    assert 1 - len(words) / total == pytest.approx(0.08, abs=0.01)


def changed_by_hand(row: list[int], draw: list[float], drop: float) -> list[int]:
    """The augmentation of one caption, a word at a time; words are 5 to 999, 4 is the mask."""
    kept = []
    for place, (word, number) in enumerate(zip(row, draw, strict=False)):
        share = np.float32(number) / np.float32(drop)
        if place in (0, len(row) - 1) or share >= 1:
            kept.append(word)
        elif share < 0.5:
            kept.append(4)
        elif share < 0.6:
            kept.append(5 + int((share - np.float32(0.5)) * np.float32(10) * np.float32(995)))
    return kept


def test_captions_are_changed_as_a_loop_over_their_words_changes_them() -> None:
    random = np.random.default_rng(0)
    captions = [[1, *random.integers(5, 1000, length).tolist(), 2] for length in (0, 1, 3, 9, 2) * 40]
    draws = random.random((200, 11), dtype=np.float32)
    batch = token_ids(captions).read(np.arange(200), draws, 0.8)
    expected = [changed_by_hand(row, draw, 0.8) for row, draw in zip(captions, draws.tolist(), strict=True)]
    assert [row[mask].tolist() for row, mask in zip(batch["text"], batch["text_mask"], strict=True)] == expected
    assert batch["text"].shape[1] == max(map(len, expected))


def test_nothing_changes_without_draws_or_with_a_share_of_zero() -> None:
    ids = token_ids([[1, 10, 11, 2]])
    assert ids.read(np.array([0]), None, 0.5)["text"].tolist() == [[1, 10, 11, 2]]
    assert ids.read(np.array([0]), np.zeros((1, 4)), 0.0)["text"].tolist() == [[1, 10, 11, 2]]


def test_long_captions_are_cut_and_keep_their_end() -> None:
    ids = token_ids([[1, 10, 2], [1, 10, 11, 12, 13, 2], [1, 7, 8, 2]], max_words=4)
    assert [numbers_of(ids, text) for text in range(3)] == [[1, 10, 2], [1, 10, 11, 2], [1, 7, 8, 2]]


def test_token_states_keep_their_ends_when_tokens_are_dropped(table: Table) -> None:
    states = TokenStates(table, "minilm", 64)
    rows = np.arange(6)
    plain = states.read(rows, None, 0.5)
    dropped = states.read(rows, np.zeros((6, states.longest)), 0.5)
    lengths = plain["text_mask"].sum(1)
    assert dropped["text_mask"].sum(1).tolist() == [2] * 6
    assert all(dropped["text_mask"][i, [0, lengths[i] - 1]].all() for i in range(6))
    first = table.array("minilm")[: int(lengths[0])].astype(np.float32)
    np.testing.assert_array_equal(plain["text"][0, : lengths[0]].numpy(), first)


def test_the_global_region_alone_can_be_read(tmp_path: Path, table: Table) -> None:
    composed = make_query_table(tmp_path / "table")
    alone = Regions(composed, "lite0", "global").read(np.arange(4), None, 0.0)
    np.testing.assert_array_equal(alone["regions"].numpy(), composed.array("lite0")[:4, 2:].astype(np.float32))
    with pytest.raises(UsageError, match="global_index"):
        Regions(table, "lite0", "global")


@pytest.mark.parametrize("which", ["all", "global"])
@pytest.mark.parametrize("held", [False, True])
def test_joined_features_are_those_of_each_array_side_by_side(which: str, held: bool, tmp_path: Path) -> None:
    """Arrays of two types and widths; where global regions alone are read, they may stand at different places."""
    table = make_query_table(tmp_path / "table")  # regions (3, 16), the last is global
    add_images(table, "wide", (3, 20), "float32", global_index=2)
    if which == "global":
        add_images(table, "first", (5, 7), global_index=0)
    places = {"lite0": 2, "wide": 2, "first": 0}
    names = ["wide", "lite0"] if which == "all" else ["first", "wide", "lite0"]
    images, items = Regions(table, ",".join(names), which), np.array([4, 0, 7])
    arrays = [table.array(name)[items].astype(np.float32) for name in names]
    if which == "global":
        arrays = [array[:, [places[name]]] for name, array in zip(names, arrays, strict=True)]
    expected = np.concatenate(arrays, 2)
    assert (images.regions, images.width) == expected.shape[1:]
    assert all(isinstance(part.values.base, np.memmap | np.ndarray) for part in images.rows.parts)  # no copy in memory
    reader = images.load_to_device(np.arange(8)) if held else images
    draws = np.random.default_rng(0).random((3, images.regions))
    batch = reader.read(items, draws, 0.5)
    np.testing.assert_array_equal(batch["regions"].numpy(), expected)
    mask = Regions(table, "lite0", which).read(items, draws, 0.5)["region_mask"]
    np.testing.assert_array_equal(batch["region_mask"].numpy(), mask.numpy())
    assert images.bytes_of(items) == sum(table.array(n)[items, : images.regions].nbytes for n in names)


def test_what_is_held_is_the_split_and_nothing_else(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=40)
    split, other = table.split("train"), table.split("val")
    images, states = Regions(table, "lite0"), TokenStates(table, "minilm", 64)
    assert len(images.load_to_device(split.items).rows.parts[0].values) == len(split)
    held = images.load_to_device(split.items).rows.parts[0].values
    assert images.bytes_of(split.items) == held.nbytes == len(split) * 5 * 16 * 2
    assert states.bytes_of(split.texts) == states.load_to_device(split.texts).rows.values.nbytes
    with pytest.raises(AssertionError, match="not there"):
        images.load_to_device(split.items).read(other.items, None, 0.0)
    with pytest.raises(AssertionError, match="not there"):
        states.load_to_device(split.texts).read(other.texts, None, 0.0)


def test_words_of_a_table_become_their_ids_between_start_and_end(table: Table) -> None:
    vocabulary = Vocabulary.from_table(table, 1)
    texts = TokenIds.from_words(table, vocabulary, 64)
    words = table.texts["tokens"].to_pylist()
    assert [numbers_of(texts, row) for row in (0, 7)] == [vocabulary.ids(words[row]) for row in (0, 7)]
    assert texts.longest == max(map(len, words)) + 2
    assert texts.ordinary == (vocabulary.mask + 1, len(vocabulary))


def test_a_transformer_numbers_captions_with_its_own_pieces(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "TOKENISED_AT_ONCE", 2)
    table = Mock(texts=pa.table({"text": ["a dog", "cat", "a dog runs on grass ."]}))
    texts = TokenIds.from_transformer(table, bert, 6)
    assert [numbers_of(texts, row) for row in range(3)] == [[2, 5, 6, 3], [2, 7, 3], [2, 5, 6, 8, 9, 3]]
    assert (texts.mask, texts.ordinary) == (4, (5, 12))


def test_a_batch_of_captions_is_as_wide_as_its_longest_and_masks_the_rest() -> None:
    ids = token_ids([[1, 9, 2], [1, 2], [1, 8, 7, 6, 2]])
    batch = ids.read(np.array([1, 0]), None, 0.0)
    assert batch["text"].tolist() == [[1, 2, 0], [1, 9, 2]]
    assert batch["text_mask"].tolist() == [[True, True, False], [True] * 3]


def test_without_a_mask_token_chosen_words_are_kept_where_they_would_be_masked() -> None:
    ids = TokenIds(np.array([1, 10, 11, 2]), np.array([4]), mask=-1, ordinary=(5, 1000), max_words=9)
    changed = ids.read(
        np.array([0]), np.array([[0.0, 0.1, 0.9, 0.0]]), 0.5
    )  # the second in the half, the third not chosen
    assert changed["text"].tolist() == [[1, 10, 11, 2]]


def test_token_states_are_cut_to_the_longest_allowed(table: Table) -> None:
    states = TokenStates(table, "minilm", 4)
    batch = states.read(np.arange(5), None, 0.0)
    assert (states.longest, batch["text"].shape[1]) == (4, 4)
    offsets = table.offsets("minilm")
    first = table.array("minilm")[offsets[3] : offsets[3] + 4].astype(np.float32)
    np.testing.assert_array_equal(batch["text"][3].numpy(), first)


def test_features_of_another_kind_or_name_are_refused(table: Table) -> None:
    for make in (lambda: Regions(table, "minilm"), lambda: TokenStates(table, "lite0", 9), lambda: Regions(table, "x")):
        with pytest.raises(UsageError, match=r"It has: lite0 \(image\), minilm \(text\)"):
            make()


def test_equal_sentences_are_one_text_where_they_read_alike_to_the_bit(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    source = table.first_equal_text
    rows = np.arange(len(source))
    words = TokenIds.from_words(table, Vocabulary.from_table(table, 1), 64)
    assert (words.same(rows, source) == source).all() and (source < rows).any()
    states = TokenStates(table, "minilm", 64)
    assert (states.same(rows, source) == rows).all()  # this table's states of equal sentences differ
    array = np.array(states.rows.values)
    array[2 * rows[source == source[2]][1] :][:2] = array[2 * source[2] :][:2]
    states.rows.values = array
    same = states.same(rows, source)
    assert (same < rows).sum() == 1 and (same[same < rows] == source[2]).all()
