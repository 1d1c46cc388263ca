"""The methods, one nn.Module each; raytrain/config/methods/ has their settings.

METHODS gives the nn.Module of each method by its kind: the `implementation` that its config names, imported when it is
asked for. A method of another package (docs/plugins.md) is there once the package is installed.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from raytrain.config import METHOD_CONFIGS, EncoderConfig
from raytrain.errors import UsageError
from raytrain.methods.base import Inputs, Method
from raytrain.plugins import Lazy


def _load(kind: str) -> type[Method]:
    text = METHOD_CONFIGS[kind].implementation
    package = METHOD_CONFIGS.package_of(kind)
    try:
        method = EntryPoint(kind, text, METHOD_CONFIGS.group).load()
    except Exception as error:
        if package is None:
            raise
        what = f"{type(error).__name__}: {error}"
        raise UsageError(f"method '{kind}' of the package {package} cannot be loaded: {what}") from error
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise UsageError(f"method '{kind}'{f' of the package {package}' if package else ''}: {text} is no Method")
    return method


METHODS: Mapping[str, Callable[[EncoderConfig, Any, Inputs], Method]] = Lazy(METHOD_CONFIGS, _load)

__all__ = ["METHODS", "Method"]
