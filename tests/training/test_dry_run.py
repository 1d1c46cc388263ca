"""A dry run: no table, the step of training, the size of a batch, and what the command prints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.cli.main import main
from raytrain.config import DataConfig, EncoderConfig, OptimConfig, RAUConfig, RunConfig, override
from raytrain.data.load.readers import Batch
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.methods.dive import DivE
from raytrain.recipes import RECIPES
from raytrain.training import dry_run as dry_running
from raytrain.training import fit as loop
from raytrain.training.dry_run import as_text, dry_run, made_up_batch, parse_sizes, parts
from raytrain.training.input_sizes import Sizes, inputs, usual_sizes
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from tests.encoders.tiny_models import clip
from tests.runs import small_run
from tests.tables import make_table

SMALL = {"encoder.dim": 8, "optim.batch_size": 6}
FEW = {"regions": 3, "region_features": 7, "tokens": 4, "token_features": 5, "words": 30, "captions": 2}
CPU = torch.device("cpu")


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_takes_a_step_without_a_table(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = override(RECIPES[recipe](), {**SMALL, "optim.precision": "fp32"})
    if config.method.kind == "dive":
        config = override(config, {"method.head_dim": 4})
    report = dry_run(config, FEW, CPU)
    assert report["table"] is None
    assert report["loss"] > 0 or config.method.kind == "half_queries"  # which has none: it is solved
    assert report["parameters"]["total"] == sum(
        count for name, count in report["parameters"]["parts"].items() if "." not in name
    )
    assert 0 < report["memory"]["before_bytes"] <= report["memory"]["peak_bytes"]
    assert report["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_paper_size_have_the_published_number_of_parameters() -> None:
    config = RECIPES["dive_coco"]()
    with torch.device("meta"):
        model = DivE(config.encoder, config.method, inputs(config, replace(usual_sizes(config), words=11353)))
    counted = parts(model)
    assert round(counted["image"] / 1e6, 2) == 19.95
    assert round(counted["image.sets"] / 1e6, 2) == 16.80
    assert round(counted["text.sets"] / 1e6, 2) == 13.83
    assert sum(count for name, count in counted.items() if "." not in name) == sum(
        parameter.numel() for parameter in model.parameters()
    )


def test_it_takes_the_step_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On training's first batch the loss, and the weights after the step, are those of `fit`."""
    config = override(small_run(tmp_path), {"name": "x", "optim.max_steps": 1})
    train_step = loop.train_step
    batches: list[Batch] = []
    after: list[dict[str, torch.Tensor]] = []

    def watched(state: TrainState, batch: Batch | list[Batch], *given: Any) -> Any:
        losses = train_step(state, batch, *given)
        batches.extend(batch if isinstance(batch, list) else [batch])
        after.append({name: value.clone() for name, value in state.model.state_dict().items()})
        return losses

    for module in (loop, dry_running):
        monkeypatch.setattr(module, "train_step", watched)
    metrics = loop.fit(config, open_tables(config), device=CPU)
    monkeypatch.setattr(dry_running, "made_up_batch", lambda *given: batches[0])
    report = dry_run(config, device=CPU)
    assert report["loss"] == pytest.approx(metrics["train/loss"], rel=1e-6)
    assert report["loss_later"] != report["loss"]
    assert len(after) == 3  # one of training, two of the dry run
    for name, value in after[0].items():
        torch.testing.assert_close(after[1][name], value)


def test_a_table_that_is_there_gives_its_own_sizes(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", regions=5, features=16, token_features=12, ragged=True)
    words = max(len(tokens) for tokens in table.texts["tokens"].to_pylist()) + 2
    config = override(RECIPES["dive_emoji"](), {**SMALL, "method.head_dim": 4, "data.table": str(table.path)})
    report = dry_run(config, {"captions": 7}, CPU)
    assert report["table"] == str(table.path)
    assert report["batch"]["regions"] == [6, 5, 16]
    assert report["batch"]["text"] == [42, words, 12]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optim.batch_size": 4000}, "is more than the 12 images with captions"),
        ({"data.image_features": "butd"}, "has no image feature 'butd'"),
        ({"data.train_split": "training"}, "no split 'training'"),
    ],
)
def test_what_training_would_refuse_is_refused(change: dict[str, Any], message: str, table: Table) -> None:
    config = override(RECIPES["dive_emoji"](), {"data.table": str(table.path), **change})
    with pytest.raises(UsageError, match=message):
        dry_run(config, device=CPU)


def test_a_batch_is_made_by_pair_by_image_and_by_query() -> None:
    few = Sizes(**FEW)
    pair = made_up_batch(override(RECIPES["dvse_flickr30k"](), SMALL), few)
    assert (pair["regions"].shape, pair["text"].shape) == ((6, 3, 7), (6, 4))
    assert 5 <= int(pair["text"].min()) <= int(pair["text"].max()) < 30
    assert pair["image_id"].tolist() == list(range(6))
    image = made_up_batch(override(RECIPES["dive_flickr8k_grid"](), SMALL), few)
    assert (image["regions"].shape, image["text"].shape) == ((6, 3, 7), (12, 4, 5))
    assert image["image_id"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert image["item_id"].tolist() == list(range(6))


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_query_batch_trains_rau(blocks: int) -> None:
    config = RunConfig(
        data=DataConfig(table="nowhere"), encoder=EncoderConfig(dim=8), method=RAUConfig(blocks=blocks),
        optim=OptimConfig(batch_size=6, num_epochs=2),
    )  # fmt: skip
    assert config.batch_by == "query"
    batch = made_up_batch(config, Sizes(**FEW))
    assert batch["reference"].shape == batch["regions"].shape == (6, 3, 7)
    assert batch["reference_mask"].all()
    report = dry_run(config, FEW, CPU)
    assert report["batch"]["noise"] == [6, 2 * blocks, 8]
    assert {"base", "isu", "csu", "dr"} <= set(report["losses"])
    assert report["parameters"]["parts"]["source_blocks"] == report["parameters"]["parts"]["target_blocks"] > 0


def test_sizes_are_parsed_and_wrong_ones_refused() -> None:
    assert parse_sizes(["regions=36,words=11353", "tokens=30"]) == {"regions": 36, "words": 11353, "tokens": 30}
    assert parse_sizes([]) == {}
    for wrong, message in (
        ("region=3", "no size 'region'.*Sizes: regions"),
        ("regions=0", "from 1 on; given: '0'"),
        ("words=5", "from 6 on"),
        ("tokens=x", "given: 'x'"),
        ("tokens", "given: ''"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_sizes([wrong])


def test_the_command_prints_json_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "dive_emoji", "--dry-run", "--json", "--assume", "captions=2,tokens=3"]
    assert main([*command, "optim.batch_size=4", "encoder.dim=8", "--workers", "2"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert {"parameters", "memory", "seconds", "loss", "sizes", "batch"} <= set(report)
    assert report["sizes"] == {
        "regions": 17, "region_features": 1280, "tokens": 3, "token_features": 384, "captions": 2,
    }  # fmt: skip
    assert report["batch"]["text"] == [8, 3, 384]
    assert "by --assume: captions, tokens" in printed.err
    assert "whole batch of 4; each of 2 workers" in printed.err
    assert main(["train", "dive_emoji", "--assume", "captions=2"]) == 2
    assert main(["train", "dive_emoji", "--dry-run", "optim.lrr=1"]) == 2
    assert "did you mean 'lr'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_text_says_what_was_assumed_and_what_a_step_takes() -> None:
    report = {
        "method": "dvse", "device": "cpu", "precision": "fp32", "table": None, "assumed": ["tokens"],
        "sizes": {"region_features": 2048, "tokens": 3},
        "parameters": {"total": 2_000_000, "trainable": 500_000, "parts": {"image": 1_500_000, "image.gpo": 250_000}},
        "batch": {"regions": [4, 36, 2048]}, "loss": 1.25, "loss_later": 1.0, "seconds": 0.125,
        "memory": {"kind": "process", "before_bytes": 1e9, "peak_bytes": 3e9},
    }  # fmt: skip
    assert as_text(report).splitlines() == [
        "dvse on cpu, fp32",
        "  sizes (assumed, there is no table yet; by --assume: tokens): region features 2,048, tokens 3",
        "  parameters: 2.00 M, 0.50 M of them trained",
        "    image 1.50 M",
        "      image.gpo 0.25 M",
        "  batch: regions 4 x 36 x 2048",
        "  loss 1.2500 in the first step, 1.0000 in a step of the last epoch",
        "  a step takes 0.12 s",
        "  memory: 3.00 GB at most (process), 1.00 GB of it before the model was built",
    ]
    assert "sizes (of tables/mine): " in as_text(report | {"table": "tables/mine", "assumed": []})


def test_an_image_backbone_that_trains_is_counted_and_fed_pixels(tmp_path: Path) -> None:
    model = clip(tmp_path / "model")
    changes = {"encoder.image.kind": "transformer", "encoder.image.path": str(model)}
    config = override(RECIPES["rau_fashion_iq"](), {**SMALL, **changes, "optim.precision": "fp32"})
    report = dry_run(config, {"tokens": 4}, CPU)
    assert report["batch"]["reference"] == report["batch"]["regions"] == [6, 3, 32, 32]
    assert report["parameters"]["parts"]["backbone"] > 0
    assert (report["sizes"]["regions"], report["sizes"]["pixels"]) == (1, 32)
