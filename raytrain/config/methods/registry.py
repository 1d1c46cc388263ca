"""The settings of each method by the method's name: those of this folder, and those of installed packages.

Every class of a module here that has a `kind` is a method's. A package adds its own as an entry point of the group
raytrain.methods, named after the kind: `two_towers = "raytrain_two_towers.config:TwoTowersConfig"`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny
from pydantic_core import PydanticKnownError

from raytrain.config.methods.base import MethodLabel, MethodPart
from raytrain.plugins import Registry


def _check(kind: str, config: Any) -> None:
    if not (isinstance(config, type) and issubclass(config, MethodPart)):
        raise ValueError(f"{config!r} is no subclass of raytrain.config.MethodPart")
    field = config.model_fields.get("kind")
    if field is None or field.default != kind:
        raise ValueError(f"the field `kind` of {config.__name__} is not {kind!r}")
    for name, example in (("label", 'MethodLabel("Title")'), ("implementation", '"package.module:Class"')):
        if not hasattr(config, name):
            raise ValueError(f"{config.__name__} has no class variable `{name}`, such as {example}")


def _own() -> dict[str, type[MethodPart]]:
    """The classes of this folder's modules."""
    package = __name__.rpartition(".")[0]
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = [importlib.import_module(f"{package}.{name}") for name in names if f"{package}.{name}" != __name__]
    parts = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    configs = [part for part in parts if issubclass(part, MethodPart) and "kind" in part.model_fields]
    return {config.model_fields["kind"].default: config for config in configs}


METHOD_CONFIGS: Registry[type[MethodPart]] = Registry("raytrain.methods", "method", _own, _check)


def _of_its_kind(values: Any) -> Any:
    """A method's plain values as the class of their `kind`; in the words that pydantic has for unions."""
    if isinstance(values, MethodPart):
        return values
    if not isinstance(values, Mapping):
        raise PydanticKnownError("model_attributes_type")
    if "kind" not in values:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    kind = values["kind"]
    if not isinstance(kind, str) or kind not in METHOD_CONFIGS:
        tags = ", ".join(repr(name) for name in METHOD_CONFIGS)
        context = {"discriminator": "'kind'", "tag": str(kind), "expected_tags": tags}
        raise PydanticKnownError("union_tag_invalid", context)
    return METHOD_CONFIGS[kind].model_validate(values)


MethodConfig = Annotated[SerializeAsAny[MethodPart], BeforeValidator(_of_its_kind)]
"""The settings of any method: a field of this type takes what METHOD_CONFIGS has, and keeps all fields in a dump."""


def method_name(recorded: Mapping[str, Any]) -> str:
    """The name of a recorded run's method in tables: its kind, or "kind/variant".

    Args:
        recorded: the run's flat settings, by dotted names.
    """
    kind = str(recorded.get("method.kind", "unknown"))
    config = METHOD_CONFIGS.get(kind)
    if config is None or config.variant_field is None:
        return kind
    return f"{kind}/{recorded.get(f'method.{config.variant_field}')}"


def method_label(name: str) -> MethodLabel:
    """The label of a method by its name in tables; the bare name where no installed package has it."""
    kind, _, variant = name.partition("/")
    config = METHOD_CONFIGS.get(kind)
    if config is None:
        return MethodLabel(name)
    return config.variants.get(variant, MethodLabel(name)) if variant else config.label
