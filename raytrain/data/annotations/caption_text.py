"""The text of a caption: blanks collapsed, and nothing where no character of it can be seen."""

from __future__ import annotations

import unicodedata

# letters and marks by their category, though nothing is drawn: Hangul fillers, the empty Braille pattern, joiners
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f")


def caption_of(text: str) -> str:
    """The text with its blanks collapsed; "" if it has no visible character (a zero-width space, a byte order mark).

    caption_of(" a  dog\\n") -> "a dog"; caption_of("\\u200b") -> ""
    """
    caption = " ".join(text.split())
    return caption if (caption.isascii() and caption.isprintable()) or any(map(_is_visible, caption)) else ""


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    is_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return category[0] not in "CZ" and character not in _INVISIBLE and not is_selector
