"""A run's method is one that the registry has, whoever brings it, and errors say what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field

from raytrain.config import (
    METHOD_CONFIGS,
    DataConfig,
    DVSEConfig,
    MethodLabel,
    MethodPart,
    RunConfig,
    from_yaml,
    method_label,
    method_name,
    override,
    recorded_plugins,
    to_values,
    to_yaml,
    validate,
)
from raytrain.errors import UsageError
from tests.packages import write_package

ROOT = Path(__file__).resolve().parents[3]
DATA = {"table": "t"}


class MineConfig(MethodPart):
    """A method that only this test has."""

    label: ClassVar[MethodLabel] = MethodLabel("Mine")
    implementation: ClassVar[str] = "tests.config.methods.test_registry:Nothing"
    kind: Literal["mine"] = "mine"
    depth: int = Field(2, ge=1)


@pytest.fixture
def mine() -> Iterator[None]:
    METHOD_CONFIGS["mine"] = MineConfig
    yield
    del METHOD_CONFIGS["mine"]


def test_every_own_method_has_a_label_and_names_its_module() -> None:
    own = {kind: config for kind, config in METHOD_CONFIGS.items() if METHOD_CONFIGS.package_of(kind) is None}
    assert set(own) >= {
        "asymvlm", "caan", "composed", "dive", "dvse", "half_queries", "imram", "maxmatch", "mv_vse", "naaf", "pcme",
        "pcmepp", "pvse", "rau", "scan", "sgraf", "vse_infinity", "vsepp", "vsrn",
    }  # fmt: skip
    for kind, config in own.items():
        assert config.__module__ == f"raytrain.config.methods.{kind}"
        assert re.fullmatch(rf"raytrain\.methods\.(cross_attention\.)?{kind}:\w+", config.implementation)
        assert config.label.title and config.label.summary.endswith(".")
    titles = [label.title for config in own.values() for label in (config.variants or {"": config.label}).values()]
    assert len(set(titles)) == len(titles)


def test_names_are_listed_without_torch() -> None:
    code = (
        "import sys; from raytrain.config import METHOD_CONFIGS; from raytrain.recipes import RECIPES; "
        "from search_spaces import SPACES; names = [*METHOD_CONFIGS, *RECIPES, *SPACES]; RECIPES['dvse_emoji'](); "
        "print([m for m in ('torch', 'ray', 'optuna', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_method_that_does_not_exist_shows_those_that_do() -> None:
    with pytest.raises(UsageError, match=r"method: Input tag 'dvsee' found using 'kind' does not match .*'dvse'"):
        validate({"data": DATA, "method": {"kind": "dvsee"}})
    with pytest.raises(UsageError, match="method: Unable to extract tag using discriminator 'kind'"):
        validate({"data": DATA, "method": {"views": 2}})
    with pytest.raises(UsageError, match="method: Input should be a valid dictionary"):
        validate({"data": DATA, "method": 3})
    with pytest.raises(UsageError, match="method: Field required"):
        validate({"data": DATA})


@pytest.mark.parametrize("kind", [None, 3, ["dvse"], {"a": 1}, "raytrain.config.methods.dvse:DVSEConfig", "os"])
def test_a_kind_is_a_name_and_never_a_place_of_code(kind: Any) -> None:
    with pytest.raises(UsageError, match="does not match any of the expected tags"):
        validate({"data": DATA, "method": {"kind": kind}})


def test_wrong_fields_of_a_method_are_named_at_their_place() -> None:
    with pytest.raises(UsageError) as error:
        validate({"data": DATA, "method": {"kind": "dvse", "views": 0, "margins": 1}})
    assert "method.views: Input should be greater than or equal to 1" in str(error.value)
    assert "method has no field 'margins'; did you mean 'margin'?" in str(error.value)


def test_a_dump_keeps_every_field_of_the_method() -> None:
    config = RunConfig(data=DataConfig(table="t"), method=DVSEConfig(views=3))
    assert config.model_dump()["method"] == DVSEConfig(views=3).model_dump()
    assert validate(config.model_dump()) == config


def test_a_run_of_raytrains_own_method_records_no_package() -> None:
    config = RunConfig(data=DataConfig(table="t"), method=DVSEConfig())
    assert recorded_plugins(config) == {}
    assert to_values(config) == config.model_dump(mode="json")


def test_a_method_that_this_process_sets_is_one_of_all(mine: None, tmp_path: Path) -> None:
    config = override(RunConfig(data=DataConfig(table="t"), method=DVSEConfig()), {"method.kind": "mine"})
    assert config.method == MineConfig(depth=2)
    assert override(config, {"method.depth": 5}).method == MineConfig(depth=5)
    with pytest.raises(UsageError, match=r"method has no field 'dept'; did you mean 'depth'"):
        override(config, {"method.dept": 5})
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    assert from_yaml(tmp_path / "run.yaml") == config
    assert method_label("mine").title == "Mine"


def test_what_is_no_methods_config_is_refused() -> None:
    class NoLabel(MethodPart):
        implementation: ClassVar[str] = "a:B"
        kind: Literal["mine"] = "mine"

    class NoModule(MethodPart):
        label: ClassVar[MethodLabel] = MethodLabel("Mine")
        kind: Literal["mine"] = "mine"

    for config, what in (
        (dict, "no subclass of raytrain.config.MethodPart"),
        (MineConfig(), "no subclass"),
        (DVSEConfig, "`kind` of DVSEConfig is not 'mine'"),
        (MethodPart, "`kind` of MethodPart is not 'mine'"),
        (NoLabel, "no class variable `label`"),
        (NoModule, "no class variable `implementation`"),
    ):
        with pytest.raises(ValueError, match=what):
            METHOD_CONFIGS["mine"] = config  # type: ignore[assignment]


def test_a_broken_package_of_a_method_is_named_where_the_method_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"raytrain.methods": {"broken": "rt_broken_method:Config"}}
    monkeypatch.syspath_prepend(str(write_package(tmp_path, "rt-broken-method", "0.3", entries, "import nowhere")))
    METHOD_CONFIGS.refresh()
    try:
        with pytest.warns(UserWarning, match="rt-broken-method"), pytest.raises(UsageError) as error:
            validate({"data": DATA, "method": {"kind": "broken"}, "plugins": {"method": "rt-broken-method==0.3"}})
        assert "method 'broken' of the package rt-broken-method 0.3 is left out: ModuleNotFoundError" in str(
            error.value
        )
        assert validate({"data": DATA, "method": {"kind": "dvse"}}).method == DVSEConfig()
    finally:
        monkeypatch.undo()
        METHOD_CONFIGS.refresh()


@pytest.mark.parametrize("plugins", [{"method": "raytrain-gone==0.1"}, {"method": 3}, {}, {"other": "x==1"}])
def test_what_a_file_records_of_packages_matters_to_nothing_that_is_there(plugins: dict[str, Any]) -> None:
    values = {"data": DATA, "method": {"kind": "dvse"}}
    assert validate({**values, "plugins": plugins}) == validate(values)


def test_a_config_of_a_package_that_is_not_installed_names_it(tmp_path: Path) -> None:
    values = {"data": DATA, "method": {"kind": "gone", "width": 3}, "plugins": {"method": "raytrain-gone==0.1"}}
    message = (
        "method 'gone' comes from the package raytrain-gone 0.1, which is not installed: pip install raytrain-gone"
    )
    with pytest.raises(UsageError) as error:
        validate(values)
    assert str(error.value) == message
    (tmp_path / "run.yaml").write_text(
        "data: {table: t}\nmethod: {kind: gone}\nplugins: {method: raytrain-gone==0.1}\n"
    )
    with pytest.raises(UsageError) as error:
        from_yaml(tmp_path / "run.yaml")
    assert str(error.value).endswith(message) and "run.yaml" in str(error.value)


def test_plugins_is_no_field_of_a_run() -> None:
    with pytest.raises(UsageError, match="RunConfig has no field 'plugins'"):
        validate({"data": DATA, "method": {"kind": "dvse"}, "plugins": 3})


def test_a_method_is_shown_by_its_variant_and_an_unknown_one_by_its_name() -> None:
    assert method_name({"method.kind": "composed", "method.composition": "tirg"}) == "composed/tirg"
    assert method_name({"method.kind": "dvse", "method.score": "max"}) == "dvse"
    assert method_name({"method.kind": "gone"}) == "gone"
    assert method_name({}) == "unknown"
    assert method_label("composed/tirg").title == "TIRG"
    assert method_label("composed").title == "Composed"
    assert method_label("composed/new").title == "composed/new"
    assert method_label("gone") == MethodLabel("gone")
