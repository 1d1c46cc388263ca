"""The methods, one nn.Module each. A new one is a file here, a config in raytrain/config.py and a line in METHODS."""

from raytrain.methods.dive import DivE
from raytrain.methods.dvse import DVSE
from raytrain.methods.vse_infinity import VSEInfinity

METHODS: dict[str, type[VSEInfinity] | type[DVSE] | type[DivE]] = {
    "vse_infinity": VSEInfinity,
    "dvse": DVSE,
    "dive": DivE,
}

__all__ = ["DVSE", "METHODS", "DivE", "VSEInfinity"]
