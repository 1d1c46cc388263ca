"""METHODS gives each kind's nn.Module, and names the package of one that cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raytrain.config import METHOD_CONFIGS, MethodPart
from raytrain.errors import UsageError
from raytrain.methods import METHODS
from raytrain.methods.base import Method
from tests.packages import write_package

CONFIG = """
from typing import ClassVar, Literal
from raytrain.config import MethodLabel, MethodPart

class Config(MethodPart):
    label: ClassVar[MethodLabel] = MethodLabel("Half made")
    implementation: ClassVar[str] = {implementation!r}
    kind: Literal["half_made"] = "half_made"
"""


@pytest.fixture
def half_made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package whose config is fine, and whose implementation is the parameter."""
    name = f"rt-half-{abs(hash(request.param)) % 10**6}"
    entries = {"raytrain.methods": {"half_made": f"{name.replace('-', '_')}:Config"}}
    write_package(tmp_path, name, "0.2", entries, CONFIG.format(implementation=request.param))
    monkeypatch.syspath_prepend(str(tmp_path))
    METHOD_CONFIGS.refresh()
    yield name
    monkeypatch.undo()
    METHOD_CONFIGS.refresh()


@pytest.mark.parametrize("kind", [name for name in METHOD_CONFIGS if METHOD_CONFIGS.package_of(name) is None])
def test_every_config_names_the_module_of_its_own_kind(kind: str) -> None:
    method = METHODS[kind]
    assert isinstance(method, type) and issubclass(method, Method)
    assert method.__module__ in (f"raytrain.methods.{kind}", f"raytrain.methods.cross_attention.{kind}")


def test_methods_has_the_names_of_the_registry() -> None:
    assert list(METHODS) == list(METHOD_CONFIGS)
    assert "dvse" in METHODS and "gone" not in METHODS
    with pytest.raises(KeyError):
        METHODS["gone"]


@pytest.mark.parametrize(
    "half_made", ["no_such_module:Method", "raytrain.methods.dvse:NoSuchClass", "raytrain.files:sha256"], indirect=True
)
def test_a_module_that_cannot_be_loaded_names_its_package(half_made: str) -> None:
    assert issubclass(METHOD_CONFIGS["half_made"], MethodPart)  # the settings can be read all the same
    with pytest.raises(UsageError, match=f"method 'half_made' of the package {half_made} 0.2"):
        METHODS["half_made"]
