"""RunConfig and its parts: everything that decides a run, as one frozen, checked value."""

from raytrain.config.methods import (
    ComposedConfig,
    DivEConfig,
    DVSEConfig,
    MethodConfig,
    MethodPart,
    RAUConfig,
    VSEInfinityConfig,
)
from raytrain.config.parts import (
    BiGRUText,
    DataConfig,
    EncoderConfig,
    EvaluationConfig,
    OptimConfig,
    Part,
    TextConfig,
    TokenText,
    TransformerText,
)
from raytrain.config.run import (
    RunConfig,
    completed,
    flatten,
    from_yaml,
    override,
    parse_overrides,
    to_yaml,
    validate,
)

__all__ = [
    "BiGRUText",
    "ComposedConfig",
    "DVSEConfig",
    "DataConfig",
    "DivEConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "MethodConfig",
    "MethodPart",
    "OptimConfig",
    "Part",
    "RAUConfig",
    "RunConfig",
    "TextConfig",
    "TokenText",
    "TransformerText",
    "VSEInfinityConfig",
    "completed",
    "flatten",
    "from_yaml",
    "override",
    "parse_overrides",
    "to_yaml",
    "validate",
]
