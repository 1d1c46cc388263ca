"""RunConfig and its parts: everything that decides a run, as one frozen, checked value."""

from raytrain.config.methods import METHOD_CONFIGS, MethodConfig, MethodLabel, MethodPart, method_label, method_name
from raytrain.config.methods.composed import ComposedConfig
from raytrain.config.methods.dive import DivEConfig
from raytrain.config.methods.dvse import DVSEConfig
from raytrain.config.methods.maxmatch import MaxMatchConfig
from raytrain.config.methods.mv_vse import MVVSEConfig
from raytrain.config.methods.pcme import PCMEConfig
from raytrain.config.methods.pcmepp import PCMEPPConfig
from raytrain.config.methods.pvse import PVSEConfig
from raytrain.config.methods.rau import RAUConfig
from raytrain.config.methods.scan import SCANConfig
from raytrain.config.methods.sgraf import SGRAFConfig
from raytrain.config.methods.vse_infinity import VSEInfinityConfig
from raytrain.config.methods.vsepp import VSEPPConfig
from raytrain.config.overrides import override, parse_overrides
from raytrain.config.parts import (
    BiGRUText,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    FeatureImages,
    FeedConfig,
    ImageConfig,
    OptimConfig,
    Part,
    TextConfig,
    TokenText,
    TransformerImages,
    TransformerText,
)
from raytrain.config.run import (
    RunConfig,
    changes_nothing,
    completed,
    flatten,
    from_yaml,
    nested,
    recorded_plugins,
    to_values,
    to_yaml,
    validate,
)

__all__ = [
    "METHOD_CONFIGS",
    "BiGRUText",
    "ComposedConfig",
    "DVSEConfig",
    "DataConfig",
    "DivEConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "FeatureImages",
    "FeedConfig",
    "ImageConfig",
    "MVVSEConfig",
    "MaxMatchConfig",
    "MethodConfig",
    "MethodLabel",
    "MethodPart",
    "OptimConfig",
    "PCMEConfig",
    "PCMEPPConfig",
    "PVSEConfig",
    "Part",
    "RAUConfig",
    "RunConfig",
    "SCANConfig",
    "SGRAFConfig",
    "TextConfig",
    "TokenText",
    "TransformerImages",
    "TransformerText",
    "VSEInfinityConfig",
    "VSEPPConfig",
    "changes_nothing",
    "completed",
    "flatten",
    "from_yaml",
    "method_label",
    "method_name",
    "nested",
    "override",
    "parse_overrides",
    "recorded_plugins",
    "to_values",
    "to_yaml",
    "validate",
]
