"""The settings of each method, one file each, and their registry."""

from raytrain.config.methods.base import MethodLabel, MethodPart
from raytrain.config.methods.registry import METHOD_CONFIGS, MethodConfig, method_label, method_name

__all__ = ["METHOD_CONFIGS", "MethodConfig", "MethodLabel", "MethodPart", "method_label", "method_name"]
