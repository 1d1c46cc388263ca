"""Raw texts, and what is refused of them; tests/retrieval/test_load.py compares them with a table's."""

from __future__ import annotations

import pytest
import torch

from raytrain.data.load.words import SPECIALS, Vocabulary
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval.texts import MAX_CHARACTERS, FrozenStates, Words, check_text


def test_words_are_those_of_the_vocabulary_cut_with_their_end() -> None:
    batch = Words(Vocabulary([*SPECIALS, "a", "dog"]), 4).read(["A dog runs on", "a"])
    assert batch["text"].tolist() == [[1, 5, 6, 2], [1, 5, 2, 0]]
    assert batch["text_mask"].tolist() == [[True] * 4, [True] * 3 + [False]]


@pytest.mark.parametrize("text", ["", " \n", "x" * (MAX_CHARACTERS + 1)])
def test_a_query_has_visible_characters_and_not_too_many(text: str) -> None:
    with pytest.raises(UsageError, match="the text to search by"):
        check_text(text)


def test_states_of_no_text_model_are_not_made_of_a_text(table: Table) -> None:
    with pytest.raises(UsageError, match="no text model here makes the token states 'minilm'"):
        FrozenStates(table.features["minilm"], 8, torch.device("cpu")).read(["a dog"])
