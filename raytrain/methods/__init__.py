"""The methods, one nn.Module each. A new one is a file here, a config in raytrain/config/ and a line in METHODS."""

from collections.abc import Callable
from typing import Any

from raytrain.config import EncoderConfig
from raytrain.methods.base import Inputs, Method
from raytrain.methods.composed import Composed
from raytrain.methods.dive import DivE
from raytrain.methods.dvse import DVSE
from raytrain.methods.pcme import PCME
from raytrain.methods.pcmepp import PCMEPP
from raytrain.methods.pvse import PVSE
from raytrain.methods.rau import RAU
from raytrain.methods.scan import SCAN
from raytrain.methods.sgraf import SGRAF
from raytrain.methods.vse_infinity import VSEInfinity
from raytrain.methods.vsepp import VSEPP

METHODS: dict[str, Callable[[EncoderConfig, Any, Inputs], Method]] = {
    "vse_infinity": VSEInfinity,
    "dvse": DVSE,
    "dive": DivE,
    "composed": Composed,
    "rau": RAU,
    "vsepp": VSEPP,
    "pvse": PVSE,
    "pcme": PCME,
    "pcmepp": PCMEPP,
    "scan": SCAN,
    "sgraf": SGRAF,
}

__all__ = ["METHODS", "Method"]
