from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.config import (
    DataConfig,
    DVSEConfig,
    RunConfig,
    changes_nothing,
    completed,
    flatten,
    from_yaml,
    nested,
    override,
    to_yaml,
    validate,
)
from raytrain.errors import RefusedError, UsageError


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(data=DataConfig(table="t"), method=DVSEConfig())


def test_every_wrong_field_is_listed_at_once() -> None:
    with pytest.raises(UsageError) as error:
        validate({"data": {"table": "t", "tabel": 1}, "method": {"kind": "dvse", "view": 3}, "optim": {"lr": -1}})
    message = str(error.value)
    assert "data has no field 'tabel'; did you mean 'table'?" in message
    assert "method has no field 'view'; did you mean 'views'?" in message
    assert "optim.lr" in message


@pytest.mark.parametrize("field", ["name", "experiment"])
@pytest.mark.parametrize("value", [".", ".."])
def test_a_run_stays_in_its_storage(field: str, value: str, config: RunConfig) -> None:
    with pytest.raises(UsageError, match=rf"{field}: .*'\.\.' are other folders"):
        override(config, {field: value})
    assert getattr(override(config, {field: "..."}), field) == "..."


def test_yaml_round_trip(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(override(config, {"encoder.text.kind": "bigru"})), encoding="utf-8")
    assert from_yaml(path) == override(config, {"encoder.text.kind": "bigru"})


@pytest.mark.parametrize("text", ["- 1", "data: [", "data: {table: t}\nmethod: {kind: dvsee}"])
def test_a_bad_yaml_file_is_named_in_the_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        from_yaml(path)


def test_a_recorded_config_is_completed_by_defaults_and_otherwise_left(config: RunConfig) -> None:
    flat = {name: value for name, value in flatten(config).items() if not changes_nothing(name)}
    assert flatten(config).keys() - flat.keys() == {
        "storage", "feed.features", "feed.device_share", "feed.read_ahead", "feed.image_processes", "feed.local_copy",
        "feed.verify",
    }  # fmt: skip
    assert completed(flatten(config)) == flat
    missing = {name: value for name, value in flat.items() if name not in ("optim.clip_norm", "data.max_words")}
    assert completed(missing) == flat
    assert completed({"optim.lr": 1.0})["optim.lr"] == 1.0


def test_the_test_split_cannot_be_trained_or_selected_on(config: RunConfig) -> None:
    for name in ("data.train_split", "data.val_split"):
        with pytest.raises(RefusedError, match="never read the test split"):
            override(config, {name: "test"})


def test_a_method_takes_its_batches_its_own_way_and_refuses_those_it_cannot(config: RunConfig) -> None:
    assert config.batch_by == "pair"
    sets = override(config, {"method.kind": "dive"})
    assert sets.batch_by == "image"
    assert override(sets, {"data.batch_by": "pair"}).batch_by == "pair"
    with pytest.raises(UsageError, match=r"dvse does not train with data\.batch_by=image; choose pair"):
        override(config, {"data.batch_by": "image"})


def test_flatten_names_every_leaf(config: RunConfig) -> None:
    flat = flatten(config)
    assert flat["optim.lr"] == 5e-4
    assert flat["encoder.text.kind"] == "tokens"
    assert not any(isinstance(value, dict) for value in flat.values())


def test_flat_settings_are_made_a_tree_again(config: RunConfig) -> None:
    assert nested(flatten(config)) == config.model_dump(mode="json")
    with pytest.raises(UsageError, match="both a value and fields of a"):
        nested({"a": 1, "a.b": 2})
