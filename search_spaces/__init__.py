"""Search spaces: one a method, and one over methods. Each is a define-by-run function of RunConfig's field names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from search_spaces import (
    composed,
    dive,
    dvse,
    image_text,
    pcme,
    pcmepp,
    pvse,
    rau,
    scan,
    sgraf,
    views,
    vse_infinity,
    vsepp,
)

if TYPE_CHECKING:
    import optuna

SPACES: dict[str, Callable[[optuna.Trial], dict[str, Any] | None]] = {
    "composed": composed.composed,
    "dive": dive.dive,
    "dvse": dvse.dvse,
    "rau": rau.rau,
    "pcme": pcme.pcme,
    "pcmepp": pcmepp.pcmepp,
    "pvse": pvse.pvse,
    "scan": scan.scan,
    "sgraf": sgraf.sgraf,
    "image_text": image_text.image_text,
    "views": views.views,
    "vse_infinity": vse_infinity.vse_infinity,
    "vsepp": vsepp.vsepp,
}
