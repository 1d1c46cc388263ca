from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from raytrain.config import BiGRUText, DataConfig, DVSEConfig, RunConfig, TransformerText, override, parse_overrides
from raytrain.config.methods import METHOD_CONFIGS
from raytrain.config.overrides import from_text, split_overrides
from raytrain.errors import UsageError
from search_spaces import SPACES


@pytest.fixture
def config() -> RunConfig:
    return RunConfig(data=DataConfig(table="t"), method=DVSEConfig())


def test_an_override_changes_a_copy(config: RunConfig) -> None:
    changed = override(config, {"optim.lr": 1e-4, "method.views": 2})
    assert (changed.optim.lr, changed.method.views) == (1e-4, 2)
    assert config.optim.lr == 5e-4


def test_an_unknown_name_shows_the_names_that_exist(config: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"optim has no field 'lrr'; did you mean 'lr'\? Fields: lr, weight_decay"):
        override(config, {"optim.lrr": 1})
    with pytest.raises(UsageError, match=r"RunConfig has no field 'optimm'; did you mean 'optim'"):
        override(config, {"optimm.lr": 1})
    with pytest.raises(UsageError, match=r"optim\.lr is a single value"):
        override(config, {"optim.lr.x": 1})


def test_a_change_of_kind_keeps_what_both_kinds_have(config: RunConfig) -> None:
    changed = override(config, {"method.margin": 0.3, "method.kind": "vse_infinity"})
    assert changed.method.kind == "vse_infinity"
    assert changed.method.margin == 0.3
    sets = override(config, {"method.kind": "dive", "method.similarity": "chamfer", "method.views": 2})
    assert override(sets, {"method.kind": "maxmatch"}).method.similarity == "chamfer"  # type: ignore[union-attr]
    by_probability = override(sets, {"method.similarity": "match_probability"})
    unknown = override(by_probability, {"method.kind": "maxmatch"}).method
    assert (unknown.similarity, unknown.views) == ("assignment", 2)  # type: ignore[union-attr]
    words = override(config, {"encoder.text.kind": "bigru", "encoder.text.word_dim": 50, "data.text_features": None})
    assert words.encoder.text == BiGRUText(word_dim=50)
    bert = override(config, {"encoder.text.path": "bert", "encoder.text.kind": "transformer"})
    assert bert.encoder.text == TransformerText(path="bert")


@pytest.mark.parametrize("kind", sorted(METHOD_CONFIGS))
def test_every_method_can_be_changed_into_every_other(kind: str, config: RunConfig) -> None:
    of_kind = override(config, {"method.kind": kind})
    for other in METHOD_CONFIGS:
        assert override(of_kind, {"method.kind": other}).method.kind == other


def test_a_kind_that_needs_a_value_says_so(config: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"encoder\.text\.path"):
        override(config, {"encoder.text.kind": "transformer"})


def changed(config: RunConfig, *words: str) -> dict[str, Any]:
    """The overrides' own values, read back from the run that they make."""
    changes = parse_overrides(config, words)
    run: Any = override(config, changes).model_dump()
    values = {}
    for name in changes:
        here = run
        for key in name.split("."):
            here = here[key]
        values[name] = here
    return values


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("name=2026-11-27", "2026-11-27"),
        ("name=001", "001"),
        ("name=1e3", "1e3"),
        ("name=", ""),
        ("experiment=no", "no"),
        ("experiment=2026", "2026"),
        ("experiment=null", "null"),
        ("storage=/x/my runs #1 100%", "/x/my runs #1 100%"),
        ("storage=a=b: [c]", "a=b: [c]"),
        ("data.table={x}", "{x}"),
        ("seed=010", 10),
        ("seed=1_000", 1000),
        ("optim.batch_size=1e3", 1000),
        ("optim.num_epochs=4.0", 4),
        ("optim.lr=1e-4", 1e-4),
        ("optim.lr=.5", 0.5),
        ("method.weight_gradient=yes", True),
        ("method.weight_gradient=0", False),
        ("evaluation.keep_similarity=FALSE", False),
        ("optim.max_steps=None", None),
        ("optim.max_steps=5", 5),
        ("feed.local_copy=~", None),
        ("feed.local_copy=/none", "/none"),
        ("optim.decay_epochs=[5,8]", (5, 8)),
        ("optim.decay_epochs=5, 08", (5, 8)),
        ("optim.decay_epochs=(5,)", (5,)),
        ("optim.decay_epochs=7", (7,)),
        ("optim.decay_epochs=[]", ()),
        ("method.weight_fn=none", "none"),
        ("optim.schedule=cosine", "cosine"),
    ],
)
def test_a_text_is_read_as_the_type_of_its_field(word: str, value: Any, config: RunConfig) -> None:
    name = word.partition("=")[0]
    result = changed(config, word)
    assert result == {name: value} and type(result[name]) is type(value)


def test_none_is_none_only_where_the_field_may_be_none(config: RunConfig) -> None:
    words = ["data.text_features=none", "encoder.text.kind=bigru", "data.val_split=none"]
    assert changed(config, *words) == {
        "data.text_features": None, "encoder.text.kind": "bigru", "data.val_split": "none",
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"optim\.lr: .*\(given: 'none'\)"):
        changed(config, "optim.lr=none")


def test_a_change_of_kind_brings_the_types_of_the_new_fields(config: RunConfig) -> None:
    words = ["method.shared_block=no", "method.kind=dive", "method.views=02", "encoder.text.word_dim=1e2",
             "encoder.text.kind=bigru", "data.text_features=null"]  # fmt: skip
    result = changed(config, *words)
    assert (result["method.shared_block"], result["method.views"], result["encoder.text.word_dim"]) == (False, 2, 100)
    bert = changed(config, "encoder.text.kind=transformer", "encoder.text.path=007", "encoder.image.kind=features")
    assert bert["encoder.text.path"] == "007"


def test_every_wrong_text_is_named_with_what_was_given(config: RunConfig) -> None:
    with pytest.raises(UsageError) as error:
        changed(config, "seed=1.5", "optim.lr=fast", "data.regions=al", "method.weight_gradient=maybe", "seed=0x10")
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["seed", "data.regions", "method.weight_gradient", "optim.lr"]
    assert "(given: '0x10')" in lines[0] and "'all' or 'global' (given: 'al')" in lines[1]


def test_bounds_are_told_in_numbers(config: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"seed: Input should be greater than or equal to 0 \(given: -1\)"):
        changed(config, "seed=-1")
    with pytest.raises(UsageError, match=r"optim\.lr: Input should be a finite number"):
        changed(config, "optim.lr=inf")


def test_a_word_without_a_value_is_no_override(config: RunConfig) -> None:
    for word in ("optim.lr", "=3", "dvse"):
        with pytest.raises(UsageError, match=r"write name=value, for example optim\.lr=1e-4"):
            parse_overrides(config, [word])
    assert split_overrides(["a=1", "b=x=y", "a=2"]) == {"a": "2", "b": "x=y"}


def test_a_group_takes_no_single_value_and_says_how_to_change_it(config: RunConfig) -> None:
    with pytest.raises(UsageError, match=r"write method\.kind=dive, or take a recipe of that method \(dive_"):
        changed(config, "method=dive")
    with pytest.raises(UsageError, match="method has no kind 'dvs'; did you mean 'dvse'"):
        changed(config, "method=dvs")
    with pytest.raises(UsageError, match=r"to change the encoder\.text write encoder\.text\.kind=bigru\."):
        changed(config, "encoder.text=bigru")
    with pytest.raises(UsageError, match=r"optim is a group of settings; set one of them: optim\.lr, "):
        changed(config, "optim=3")


def test_a_field_is_found_by_its_last_name(config: RunConfig) -> None:
    for word, meant in (("lr=1", "optim.lr"), ("views=8", "method.views"), ("epochs=3", "optim.num_epochs"),
                        ("optim.views=8", "method.views"), ("method.table=t", "data.table")):  # fmt: skip
        with pytest.raises(UsageError, match=rf"did you mean {meant}\? Fields: "):
            changed(config, word)
    with pytest.raises(UsageError, match=r"optim has no field 'lrr'; did you mean 'lr'\?"):
        changed(config, "optim.lrr=1")
    with pytest.raises(UsageError, match=r"has no field 'alpha'\. Fields: "):  # of another method
        changed(config, "optim.alpha=1")


def test_values_of_python_pass_as_they_are(config: RunConfig) -> None:
    run = override(config, {"optim.decay_epochs": [1, 2], "optim.lr": 1e-3, "method": {"kind": "dive", "views": 2}})
    assert (run.optim.decay_epochs, run.optim.lr, run.method.kind) == ((1, 2), 1e-3, "dive")
    assert override(config, {"method": DVSEConfig(views=7)}).method == DVSEConfig(views=7)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_what_a_sweep_draws_changes_a_run_as_it_is(space: str, config: RunConfig) -> None:
    optuna = pytest.importorskip("optuna", reason="spaces draw from a trial")
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    extra = SPACES[space](trial) or {}
    drawn = {
        name: value
        for name, value in {**extra, **trial.params}.items()
        if name.partition(".")[0] in ("method", "optim")
    }
    kinds = {"composed": "rau", "views": "dvse", "heads": "vse_infinity"}
    kind = drawn.get("method.kind", kinds.get(space, space.removesuffix("_core")))
    run = override(config, {"method.kind": kind, **drawn}).model_dump()
    for name, value in drawn.items():
        group, field = name.split(".")
        assert run[group][field] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("5", int | str, 5),
        ("x", int | str, "x"),
        ("2", Literal[1, 2], 2),
        ("a/b", Path, Path("a/b")),
        ('{"a": 1.5}', dict[str, float], {"a": 1.5}),
        ("a, b", list[str], ["a", "b"]),
        ("1,x", tuple[int, str], (1, "x")),
        ("3,4", tuple[int, ...] | None, (3, 4)),
        ("none", tuple[int, ...] | None, None),
        ("010", Annotated[int, "metadata"], 10),
    ],
)
def test_types_of_other_packages_fields(text: str, type_: Any, value: Any) -> None:
    assert from_text(text, type_) == value


@pytest.mark.parametrize(
    ("text", "type_"), [("1,2,3", tuple[int, int]), ("x", int), ("1.5", int), ("x", dict[str, int])]
)
def test_a_text_that_is_no_value_of_its_type_raises(text: str, type_: Any) -> None:
    with pytest.raises(ValueError):
        from_text(text, type_)


def test_a_value_with_blanks_that_is_not_quoted_says_so() -> None:
    with pytest.raises(UsageError, match=r"a value with blanks needs quotes: 'data\.table=my data'"):
        split_overrides(["data.table=my", "data"])
