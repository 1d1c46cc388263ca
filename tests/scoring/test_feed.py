from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.scoring.feed import load_to_device, open_feed
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.build import build_method
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.runs import tiny
from tests.tables import add_images, make_table


@pytest.mark.parametrize("text", ["tokens", "bigru"])
def test_a_method_learns_which_region_is_the_whole_image_from_the_table(text: Any, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    config = tiny(table, tmp_path, method__kind="vsepp", method__image="global", encoder__text__kind=text)
    assert open_feed(config, table).inputs.global_region is None
    with pytest.raises(UsageError, match=r"method\.image=mean"):
        build_method(config, open_feed(config, table))
    table.description.features["lite0"].encoder["global_index"] = 4
    assert open_feed(config, table).inputs.global_region == 4
    build_method(config, open_feed(config, table))


@pytest.mark.parametrize("text", ["tokens", "bigru"])
def test_losses_and_weights_do_not_depend_on_how_batches_come(text: Any, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", ragged=True)
    ways: list[dict[str, Any]] = [
        {}, {"feed__read_ahead": 0}, {"feed__features": "device"}, {"feed__features": "device", "feed__read_ahead": 5},
        {"feed__local_copy": str(tmp_path / "own disk")},
    ]  # fmt: skip
    add_images(table, "lite2", (5, 6))
    runs = []
    for place, way in enumerate(ways):
        config = tiny(table, tmp_path / str(place), encoder__text__kind=text, optim__batch_size=8,
                      data__image_features="lite0,lite2" if text == "tokens" else "lite0", **way)  # fmt: skip
        metrics = fit(config, open_tables(config))
        assert 0 <= metrics["cost/data_wait_share"] <= 1
        path, start = checkpoint.latest(config.folder), Journal(config.folder).last("start")
        assert path is not None and start is not None
        assert start["features_on"] == way.get("feed__features", "disk")
        kept = {name: value for name, value in metrics.items() if not name.startswith("cost")}
        runs.append((kept, checkpoint.load(path).weights))
    for metrics, weights in runs[1:]:
        assert metrics == runs[0][0]
        assert all(torch.equal(weights[name], value) for name, value in runs[0][1].items())


def test_features_are_held_where_asked_and_only_where_they_fit(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu, split = torch.device("cpu"), table.split("train")
    config = tiny(table, tmp_path, feed__features="device")
    feed = open_feed(config, table)
    needed = feed.images.bytes_of(split.items) + feed.texts.bytes_of(split.texts)  # type: ignore[attr-defined]
    held = load_to_device(config, feed, split, cpu)
    assert held.images is not feed.images and held.texts is not feed.texts
    assert load_to_device(tiny(table, tmp_path), feed, split, cpu) is feed  # the page cache holds them already
    monkeypatch.setattr("raytrain.scoring.feed.free_bytes", lambda device: needed - 1)
    with pytest.raises(UsageError, match=r"take 0\.0 GB.*feed\.features=disk"):
        load_to_device(config, feed, split, cpu)
    words = tiny(table, tmp_path, feed__features="device", encoder__text__kind="bigru")
    monkeypatch.undo()
    held = load_to_device(words, (of_words := open_feed(words, table)), split, cpu)
    assert held.texts is of_words.texts and held.images is not of_words.images


def test_features_are_held_in_what_training_leaves_free(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(table, tmp_path, feed__features="device")
    split, cpu, feed = table.split("train"), torch.device("cpu"), open_feed(config, table)
    size = feed.images.bytes_of(split.items) + feed.texts.bytes_of(split.texts)  # type: ignore[attr-defined]
    monkeypatch.setattr("raytrain.scoring.feed.free_bytes", lambda device: size + 10)
    assert load_to_device(config, feed, split, cpu, 10) is not feed
    with pytest.raises(UsageError, match="GB free"):
        load_to_device(config, feed, split, cpu, 11)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_holds_features_by_itself_where_they_fit_in_its_share(table: Table, tmp_path: Path) -> None:
    device, split = torch.device("cuda"), table.split("train")
    feed = open_feed(tiny(table, tmp_path), table, device=device)
    assert load_to_device(tiny(table, tmp_path), feed, split, device) is not feed
    assert load_to_device(tiny(table, tmp_path, feed__device_share=1e-9), feed, split, device) is feed
    assert load_to_device(tiny(table, tmp_path, feed__features="disk"), feed, split, device) is feed
