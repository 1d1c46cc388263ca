"""Search spaces: one a method, and one over methods. Each is a define-by-run function of RunConfig's field names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from search_spaces.dive import dive
from search_spaces.dvse import dvse
from search_spaces.image_text import image_text
from search_spaces.vse_infinity import vse_infinity

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, Callable[[optuna.Trial], dict[str, Any] | None]] = {
    "dive": dive,
    "dvse": dvse,
    "image_text": image_text,
    "vse_infinity": vse_infinity,
}
