"""Search spaces: one a method, and one over methods. Each is a define-by-run function of RunConfig's field names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from search_spaces.composed import composed
from search_spaces.dive import dive
from search_spaces.dvse import dvse
from search_spaces.image_text import image_text
from search_spaces.pcme import pcme
from search_spaces.pcmepp import pcmepp
from search_spaces.pvse import pvse
from search_spaces.rau import rau
from search_spaces.scan import scan
from search_spaces.sgraf import sgraf
from search_spaces.views import views
from search_spaces.vse_infinity import vse_infinity
from search_spaces.vsepp import vsepp

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, Callable[[optuna.Trial], dict[str, Any] | None]] = {
    "composed": composed,
    "dive": dive,
    "dvse": dvse,
    "rau": rau,
    "pcme": pcme,
    "pcmepp": pcmepp,
    "pvse": pvse,
    "scan": scan,
    "sgraf": sgraf,
    "image_text": image_text,
    "views": views,
    "vse_infinity": vse_infinity,
    "vsepp": vsepp,
}
