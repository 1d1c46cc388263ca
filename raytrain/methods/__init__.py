"""The methods, one nn.Module each. A new one is a file here, a config in raytrain/config/ and a line in METHODS."""

from collections.abc import Callable
from typing import Any

from raytrain.config import EncoderConfig
from raytrain.methods.base import Inputs, Method
from raytrain.methods.dive import DivE
from raytrain.methods.dvse import DVSE
from raytrain.methods.rau import RAU
from raytrain.methods.scan import SCAN
from raytrain.methods.sgraf import SGRAF
from raytrain.methods.vse_infinity import VSEInfinity

METHODS: dict[str, Callable[[EncoderConfig, Any, Inputs], Method]] = {
    "vse_infinity": VSEInfinity,
    "dvse": DVSE,
    "dive": DivE,
    "rau": RAU,
    "scan": SCAN,
    "sgraf": SGRAF,
}

__all__ = ["DVSE", "METHODS", "RAU", "SCAN", "SGRAF", "DivE", "Method", "VSEInfinity"]
