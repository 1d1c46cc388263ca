"""RunConfig and its parts: everything that decides a run, as one frozen, checked value."""

from raytrain.config.methods import METHOD_CONFIGS, MethodConfig, MethodLabel, MethodPart, method_label, method_name
from raytrain.config.methods.asymvlm import AsymVLMConfig
from raytrain.config.methods.caan import CAANConfig
from raytrain.config.methods.composed import ComposedConfig
from raytrain.config.methods.contrastive import ContrastivePart, InfoNCEPart
from raytrain.config.methods.dive import DivEConfig
from raytrain.config.methods.dvse import DVSEConfig
from raytrain.config.methods.half_queries import HalfQueriesConfig
from raytrain.config.methods.imram import IMRAMConfig
from raytrain.config.methods.maxmatch import MaxMatchConfig
from raytrain.config.methods.mv_vse import MVVSEConfig
from raytrain.config.methods.naaf import NAAFConfig
from raytrain.config.methods.pcme import PCMEConfig
from raytrain.config.methods.pcmepp import PCMEPPConfig
from raytrain.config.methods.pvse import PVSEConfig
from raytrain.config.methods.rau import RAUConfig
from raytrain.config.methods.scan import SCANConfig
from raytrain.config.methods.sgraf import SGRAFConfig
from raytrain.config.methods.vse_infinity import VSEInfinityConfig
from raytrain.config.methods.vsepp import VSEPPConfig
from raytrain.config.methods.vsrn import VSRNConfig
from raytrain.config.overrides import override, parse_overrides
from raytrain.config.parts import (
    BiGRUText,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    FeatureImages,
    FeedConfig,
    HeadKind,
    ImageConfig,
    OptimConfig,
    Part,
    TextConfig,
    TokenText,
    TransformerImages,
    TransformerText,
    names_in,
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
    "AsymVLMConfig",
    "BiGRUText",
    "CAANConfig",
    "ComposedConfig",
    "ContrastivePart",
    "DVSEConfig",
    "DataConfig",
    "DivEConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "FeatureImages",
    "FeedConfig",
    "HalfQueriesConfig",
    "HeadKind",
    "IMRAMConfig",
    "ImageConfig",
    "InfoNCEPart",
    "MVVSEConfig",
    "MaxMatchConfig",
    "MethodConfig",
    "MethodLabel",
    "MethodPart",
    "NAAFConfig",
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
    "VSRNConfig",
    "changes_nothing",
    "completed",
    "flatten",
    "from_yaml",
    "method_label",
    "method_name",
    "names_in",
    "nested",
    "override",
    "parse_overrides",
    "recorded_plugins",
    "to_values",
    "to_yaml",
    "validate",
]
