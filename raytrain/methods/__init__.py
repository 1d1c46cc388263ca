"""The methods, one nn.Module each. A new one is a file here, a config in raytrain/config.py and a line in METHODS."""

from raytrain.methods.dvse import DVSE
from raytrain.methods.vse_infinity import VSEInfinity

METHODS: dict[str, type[VSEInfinity] | type[DVSE]] = {"vse_infinity": VSEInfinity, "dvse": DVSE}

__all__ = ["DVSE", "METHODS", "VSEInfinity"]
