"""Examples of a DivE run: nearest items of the other side, and attention over the grid alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raytrain.config import DivEConfig, override
from raytrain.studies.examples import files_of
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.measures.element_examples import attention_maps, element_examples, nearest_items
from raytrain.studies.measures.elements import gradient_evenness, share_ever_best
from raytrain.studies.measures.projection import element_map
from raytrain.tracking.run_record import read_run
from raytrain.training.run import train
from tests.studies.in_process import recipe


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> MeasuredRun:
    method = DivEConfig(views=2, heads=2, head_dim=4)
    config = override(recipe(tmp_path_factory.mktemp("run")), {"name": "dive", "method": method})
    train(config)
    return MeasuredRun(read_run(config.folder))


def test_the_nearest_sets_are_those_with_the_closest_element() -> None:
    sets = torch.stack([torch.eye(4)[[0, 1]], torch.eye(4)[[2, 3]], -torch.eye(4)[[0, 1]]])
    assert nearest_items(torch.eye(4)[3], sets)[0] == 1


def test_every_element_of_images_and_captions_has_its_nearest(run: MeasuredRun) -> None:
    examples = element_examples(run, number=3)
    images, captions = examples[:3], examples[3:]
    assert all(example.file and len(example.elements) == 2 for example in images)
    assert all(not example.file and example.text for example in captions)
    assert all(len(element.nearest) == 3 for example in examples for element in example.elements)
    assert len([*files_of(examples)]) == 3 + 3 * 2 * 3
    assert all(element.nearest[0].file == "" for element in images[0].elements)


def test_attention_is_over_the_grid_alone(run: MeasuredRun) -> None:
    rows = np.array([2, 6])
    assert attention_maps(run, rows) is None  # five regions are no square
    with_global = MeasuredRun(run.record)
    model, feed, saved = run._loaded
    with_global._loaded = (model, replace(feed, inputs=replace(feed.inputs, global_region=4)), saved)
    maps = attention_maps(with_global, rows)
    assert maps is not None and maps.shape == (2, 2, 4) and bool((maps >= 0).all()) and bool((maps.sum(-1) < 1).all())


def test_measures_of_elements_are_in_their_ranges(run: MeasuredRun) -> None:
    matched, evenness = share_ever_best(run), gradient_evenness(run)
    assert matched is not None and 0.5 <= matched <= 1
    assert evenness is not None and 0 <= evenness <= 1


def test_the_map_has_a_series_per_side_and_element(run: MeasuredRun) -> None:
    assert [*element_map(run).series] == [
        "caption element 1", "caption element 2", "image element 1", "image element 2",
    ]  # fmt: skip
