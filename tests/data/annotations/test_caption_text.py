"""Captions that can be seen, and those that cannot."""

from __future__ import annotations

import pytest

from raytrain.data.annotations.caption_text import caption_of

INVISIBLE = [
    "",
    " ",
    "\u00a0",
    "\u200b",
    "\ufeff",
    "\u2060 \u200d",
    "\u3164",
    "\u2800",
    "\u115f\u1160",
    "\ufe0f",
    "\u00ad",
]


@pytest.mark.parametrize("text", INVISIBLE)
def test_a_caption_without_a_visible_character_is_empty(text: str) -> None:
    assert caption_of(text) == ""


VISIBLE = {
    " a  dog\n": "a dog",
    "一只狗": "一只狗",
    ".": ".",
    "👍🏽\ufe0f": "👍🏽\ufe0f",
    "\u200ba": "\u200ba",
    "e\u0301": "e\u0301",
}


@pytest.mark.parametrize(("text", "caption"), VISIBLE.items())
def test_the_rest_of_a_caption_stays_as_it_is(text: str, caption: str) -> None:
    assert caption_of(text) == caption
