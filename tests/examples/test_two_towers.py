"""A package outside this repository adds a method, a space, a recipe, a source, a study, and takes them away."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from raytrain.cli.main import main
from raytrain.config import METHOD_CONFIGS, EncoderConfig, RunConfig, from_yaml, method_label, override, validate
from raytrain.data.build import build
from raytrain.data.detect import detect
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.methods import METHODS
from raytrain.methods.base import StepContext
from raytrain.recipes import RECIPES
from raytrain.review.write import read_leaderboard
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.studies import STUDIES
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.run import train
from search_spaces import SPACES
from tests.data.own import SPLIT, captions_of, picture, put
from tests.methods.baselines import INPUTS, batch, check_alone, check_trains
from tests.packages import REGISTRIES, installed

ABSENT = (
    "method 'two_towers' comes from the package raytrain-two-towers 0.1, which is not installed: "
    "pip install raytrain-two-towers"
)


@pytest.fixture
def two_towers(example_package: Path) -> Iterator[None]:
    with installed(example_package):
        yield


def small(table: Table, storage: Path) -> RunConfig:
    changes = {"name": "towers", "storage": str(storage), "data.table": str(table.path), "encoder.dim": 8,
               "method.hidden": 16, "optim.batch_size": 20, "optim.num_epochs": 1}  # fmt: skip
    return override(RECIPES["two_towers_emoji"](), changes)


def test_its_names_are_listed_and_meant_by_names_that_are_close(
    two_towers: None, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("two_towers", "two_towers_emoji", "two_towers", "sidecar", "two_towers_width")
    for registry, name in zip(REGISTRIES, names, strict=True):
        assert name in list(registry) and str(registry.package_of(name)) == "raytrain-two-towers 0.1"
    assert method_label("two_towers").title == "Two towers"
    assert [variant.name for variant in STUDIES["two_towers_width"]().variants(small(table, tmp_path))] == [
        "width 128", "width 256", "width 512",
    ]  # fmt: skip
    assert main(["train", "two_tower_emoji"]) == 2
    assert "two_towers_emoji" in capsys.readouterr().err
    assert main(["sweep", "two_tower", "--recipe", "two_towers_emoji"]) == 2
    assert "two_towers" in capsys.readouterr().err.replace("two_towers_emoji", "")
    assert main(["data", "build", "side_car", "--root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "sidecar" in capsys.readouterr().err
    with pytest.raises(UsageError, match="two_towers"):
        override(small(table, tmp_path), {"method.kind": "two_tower"})
    with pytest.raises(UsageError, match="method has no field 'hiden'; did you mean 'hidden'"):
        override(small(table, tmp_path), {"method.hiden": 3})


def test_it_trains_is_evaluated_and_listed_and_says_where_it_came_from_once_it_is_gone(
    example_package: Path, table: Table, tmp_path: Path
) -> None:
    with installed(example_package):
        config = small(table, tmp_path)
        train(config)
        metrics = evaluate_run(config.folder, "val")["metrics"]
        start = Journal(config.folder).last("start")
        assert start is not None and start["plugins"] == {"method": "raytrain-two-towers==0.1"}
        assert metrics["rsum"] > 0
        board = read_leaderboard(tmp_path)
        board.write(tmp_path / "board")
        assert [(row["method"], row["runs"]) for row in board.rows] == [("two_towers", ["towers"])]
        for page in ("leaderboard.md", "leaderboard.html"):
            assert "Two towers" in (tmp_path / "board" / page).read_text()
        saved = checkpoint.best(config.folder)
        assert saved is not None and checkpoint.load(saved).config == config
    with pytest.raises(UsageError) as error:
        checkpoint.load(saved)
    assert str(error.value) == f"{saved / 'config.yaml'}: {ABSENT}"
    with pytest.raises(UsageError) as error:
        evaluate_run(config.folder, "val")
    assert ABSENT in str(error.value)
    with pytest.raises(UsageError) as error:
        from_yaml(saved / "config.yaml")
    assert ABSENT in str(error.value)
    # what was recorded is still listed, by the bare name
    assert [row["method"] for row in read_leaderboard(tmp_path).rows] == ["two_towers"]
    assert "two_towers" not in METHODS and "raytrain_two_towers" not in sys.modules


def test_a_file_that_names_a_module_has_nothing_imported(two_towers: None, tmp_path: Path) -> None:
    put(tmp_path / "rt_stranger.py", f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        for kind in ("rt_stranger", "rt_stranger:Config"):
            with pytest.raises(UsageError):
                validate({"data": {"table": "t"}, "method": {"kind": kind}, "plugins": {"method": "rt_stranger==1"}})
    assert not (tmp_path / "ran").exists()


def test_every_choice_of_its_space_is_a_run_around_its_recipe(two_towers: None) -> None:
    pytest.importorskip("optuna", reason="the searches are Optuna's")
    from raytrain.sweeps.initial_trials import paper_trial
    from raytrain.sweeps.space import walk

    base = RECIPES["two_towers_emoji"]()
    for _, _, changes in walk(SPACES["two_towers"]):
        override(base, changes)
    assert override(base, paper_trial(SPACES["two_towers"], base)) == base


@pytest.mark.parametrize("learned", [True, False])
def test_every_parameter_trains_and_an_item_alone_is_embedded_as_in_its_batch(two_towers: None, learned: bool) -> None:
    torch.manual_seed(0)
    config = METHOD_CONFIGS["two_towers"].model_validate({"hidden": 4, "dropout": 0.0, "scale_learned": learned})
    method = METHODS["two_towers"](EncoderConfig(dim=8, pooling="mean"), config, INPUTS)
    with torch.no_grad():  # past the start, at which the MLPs' last layers are zero and hide their first ones
        for tower in (method.image, method.text_tower):
            tower.mlp[-1].weight.normal_()
    if not learned:
        assert not method.log_scale.requires_grad
        method.log_scale.requires_grad_(True)
    check_trains(method, batch(), StepContext())
    check_alone(method, batch())


def test_another_caption_of_an_image_is_a_negative_only_where_it_is_asked_for(two_towers: None) -> None:
    losses = {}
    for choice in ("masked", "negative"):
        torch.manual_seed(0)
        config = METHOD_CONFIGS["two_towers"].model_validate({"hidden": 4, "same_image": choice})
        method = METHODS["two_towers"](EncoderConfig(dim=8, pooling="mean"), config, INPUTS).eval()
        losses[choice] = [float(method(batch(same_image=same))["loss"].detach()) for same in (True, False)]
    assert losses["masked"][0] < losses["masked"][1] == losses["negative"][0] == losses["negative"][1]


def test_its_source_reads_text_files_beside_images(two_towers: None, tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow (extra `encode`) writes the test's pictures")
    for number, split in enumerate(SPLIT):
        put(tmp_path / "mine" / split / f"{number}.png", picture(number))
        put(tmp_path / "mine" / split / f"{number}.txt", "\n".join(captions_of(number)))
    put(tmp_path / "mine" / "train" / "no_text.png", picture(99))
    assert "sidecar" in [candidate.source for candidate in detect(tmp_path / "mine")]
    command = ["data", "build", "sidecar", "--root", str(tmp_path / "mine"), "--out", str(tmp_path / "table")]
    assert main(command) == 0
    table = Table(tmp_path / "table")
    assert table.splits["train"] == {"items": 4, "texts": 8}
    assert set(table.texts["text"].to_pylist()) == {text for number in range(8) for text in captions_of(number)}
    description = json.loads((tmp_path / "table" / "table.json").read_text())
    assert description["source"]["name"] == "sidecar"
    put(tmp_path / "mine" / "val" / "4.txt", b"\xff\xfe")
    with pytest.raises(ValueError, match=r"4\.txt: no UTF-8 text"):
        build("sidecar", tmp_path / "mine", tmp_path / "other")
    with pytest.raises(UsageError, match="no option 'images'"):
        build("sidecar", tmp_path / "mine", tmp_path / "other", images="x")
