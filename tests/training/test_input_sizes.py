"""Sizes of a run's inputs: of its table, or what the names of its features let one expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.config import override
from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.recipes import RECIPES
from raytrain.scoring.feed import open_feed
from raytrain.training.input_sizes import Sizes, inputs, table_sizes, usual_sizes
from tests.encoders.tiny_models import bert, clip
from tests.runs import tiny
from tests.tables import make_query_table, make_table


def test_the_names_of_features_say_what_they_measure() -> None:
    butd = usual_sizes(RECIPES["dvse_coco"]())
    assert (butd.regions, butd.region_features, butd.tokens, butd.words) == (36, 2048, 20, 10_000)
    lite0 = usual_sizes(RECIPES["dvse_flickr8k_grid"]())
    assert (lite0.regions, lite0.region_features, lite0.token_features) == (17, 1280, 384)
    both = usual_sizes(override(RECIPES["dvse_flickr8k_grid"](), {"data.image_features": "lite0,lite2"}))
    assert (both.regions, both.region_features) == (17, 2560)
    short = override(RECIPES["dvse_flickr8k_grid"](), {"data.max_words": 7})
    assert usual_sizes(short).tokens == 7
    assert inputs(short, lite0).words is None


def test_a_feature_of_another_name_is_taken_for_butd_and_one_region_is_one() -> None:
    other = override(RECIPES["dvse_flickr8k_grid"](), {"data.image_features": "mine", "data.text_features": "mine too"})
    assert (usual_sizes(other).regions, usual_sizes(other).region_features) == (36, 2048)
    assert usual_sizes(other).token_features == Sizes().token_features
    assert usual_sizes(override(other, {"data.regions": "global"})).regions == 1


def test_models_that_train_give_their_own_sizes(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs the extra `encode`")
    model, text = clip(tmp_path / "clip"), bert(tmp_path / "bert")
    config = override(
        RECIPES["dvse_flickr8k_grid"](),
        {
            "encoder.image.kind": "transformer", "encoder.image.path": str(model),
            "encoder.text.kind": "transformer", "encoder.text.path": str(text),
        },
    )  # fmt: skip
    sizes = usual_sizes(config)
    assert (sizes.pixels, sizes.regions) == (32, 5)  # a grid of 2 x 2 patches, and the whole image
    assert 0 < sizes.words < 10_000
    assert (inputs(config, sizes).words, inputs(config, sizes).token_features) == (None, None)


def test_a_table_gives_its_own_sizes(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", regions=5, features=16, token_features=12, ragged=True)
    words = max(len(tokens) for tokens in table.texts["tokens"].to_pylist()) + 2
    config = override(RECIPES["dive_emoji"](), {"optim.batch_size": 6, "data.table": str(table.path)})
    sizes = table_sizes(config)
    assert (sizes.regions, sizes.region_features, sizes.token_features, sizes.tokens) == (5, 16, 12, words)
    split = table.split("train")
    assert sizes.captions == -(-len(split.texts) // len(split))


@pytest.mark.parametrize("text", ["tokens", "bigru"])
def test_inputs_of_a_tables_sizes_are_those_of_its_readers(text: str, table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, encoder__text__kind=text)
    expected = open_feed(config, table).inputs
    given = inputs(config, table_sizes(config))
    assert (given.region_features, given.token_features, given.words) == (
        expected.region_features, expected.token_features, expected.words,
    )  # fmt: skip


def test_a_composed_query_has_one_text(tmp_path: Path) -> None:
    queries = make_query_table(tmp_path / "queries")
    sizes = table_sizes(tiny(queries, tmp_path, method__kind="rau", optim__batch_size=12))
    assert (sizes.captions, sizes.tokens, sizes.regions) == (1, 2, 3)


def test_what_the_run_does_not_read_is_as_usual(table: Table, tmp_path: Path) -> None:
    sizes = table_sizes(tiny(table, tmp_path))
    assert (sizes.pixels, sizes.words) == (Sizes().pixels, Sizes().words)


def test_a_batch_that_the_split_cannot_fill_is_refused(table: Table, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"optim\.batch_size=4000 is more than the 60 captions"):
        table_sizes(tiny(table, tmp_path, optim__batch_size=4000))
