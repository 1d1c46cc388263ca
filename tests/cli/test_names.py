from __future__ import annotations

from typing import Any

import pytest

from raytrain.cli import names
from raytrain.data.build import SOURCES
from raytrain.recipes import RECIPES
from search_spaces import SPACES


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("DVSE with K = 4. Run: `raytrain train dvse_emoji`.", "DVSE with K = 4."),
        ("Sets (Kim et al., CVPR 2023): 1.5 at D 1,024.\n\n    More.", "Sets (Kim et al., CVPR 2023): 1.5 at D 1,024."),
        ("Over\n    two lines\n\nand more", "Over two lines"),
        (None, ""),
    ],
)  # fmt: skip
def test_the_first_sentence(docstring: str | None, sentence: str) -> None:
    assert names.first_sentence(docstring) == sentence


def test_every_recipe_space_and_source_has_a_line() -> None:
    for listed, summaries in (
        (RECIPES, names.recipe_summaries()),
        (SPACES, names.space_summaries()),
        (SOURCES, names.source_summaries()),
    ):
        assert [name for name, _ in summaries] == sorted(listed)
        assert [name for name, text in summaries if not text.endswith((".", ")")) or "\n" in text] == []


def test_names_that_come_later_are_listed_and_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    def zebra(*arguments: Any) -> Any:
        """Striped. And long."""

    monkeypatch.setitem(RECIPES, "zebra_recipe", zebra)
    monkeypatch.setitem(SPACES, "zebra_space", zebra)
    assert "zebra_recipe" in names.recipe_names() and "zebra_space" in names.space_names()
    assert list(names.complete_recipe("zeb")) == [("zebra_recipe", "Striped.")]
    assert list(names.complete_space("zeb")) == [("zebra_space", "Striped.")]


def test_a_shell_gets_summaries_that_fit_a_line() -> None:
    texts = [text for complete in (names.complete_recipe, names.complete_source) for _, text in complete("")]
    assert len(texts) == len(RECIPES) + len(SOURCES)
    assert max(map(len, texts)) <= 60


def test_fields_are_those_of_every_method_and_of_the_source_that_was_named() -> None:
    fields = list(names.run_fields([]))
    assert {"seed", "optim.lr", "method.views", "method.alpha", "encoder.text.word_dim"} <= set(fields)
    assert len(fields) == len(set(fields)) and "method" not in fields
    assert list(names.source_fields(["build", "cub", "fold=1"])) == ["fold", "images", "captions", "allow_missing"]
    assert list(names.source_fields(["data", "build", "cubs"])) == []
