"""Adding features of a frozen backbone to a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import Done, Job, Work, in_process
from raytrain.data.images import decode, target_pad
from raytrain.data.table import Table
from raytrain.encoders.images import load_image_encoder
from raytrain.encoders.tokens import TokenStates
from raytrain.errors import DataError, UsageError
from tests.data.pictures import entry, karpathy


@pytest.fixture
def table(tmp_path: Path) -> Table:
    root = karpathy(tmp_path / "root", [entry(n, ("train", "val", "test")[n % 3]) for n in range(7)])
    return build("karpathy", root, tmp_path / "table")


def files(table: Table) -> set[str]:
    return {str(path.relative_to(table.path)) for path in table.path.rglob("*") if path.is_file()}


def test_image_features_are_those_of_each_file(table: Table, vit: str) -> None:
    lines: list[str] = []
    result = encode(table.path, vit, dtype="float32", batch_size=3, progress=lines.append)
    assert (result["features"], result["kind"], result["shape"]) == ("vit", "image", [7, 17, 16])
    assert "vit: 7/7 images" in lines[-1]
    encoder = load_image_encoder(vit)
    rows = Table(table.path).array("vit")
    for row, file in enumerate(table.items["file"].to_pylist()):
        alone = encoder(encoder.preprocess(decode(table.image_root / file))[None])[0].numpy()
        np.testing.assert_allclose(rows[row], alone, rtol=1e-4, atol=1e-5)
    facts = Table(table.path).features["vit"].encoder
    assert (facts["global_index"], facts["missing"]) == (16, [])


def test_padded_images_are_encoded_padded_and_the_table_says_so(table: Table, vit: str) -> None:
    encode(table.path, vit, progress=None, dtype="float32")
    encode(table.path, vit, progress=None, dtype="float32", name="padded", pad=1.01)
    padded = Table(table.path)
    assert padded.features["padded"].encoder["target_pad"] == 1.01
    encoder = load_image_encoder(vit)
    pixels = encoder.preprocess(target_pad(decode(table.image_root / table.items["file"][0].as_py()), 1.01))
    np.testing.assert_allclose(padded.array("padded")[0], encoder(pixels[None])[0], atol=1e-5)
    assert not np.allclose(padded.array("padded")[0], padded.array("vit")[0])
    with pytest.raises(UsageError, match="ratio"):
        encode(table.path, vit, pad=0.5)


def test_token_states_are_those_of_each_text(table: Table, bert: str) -> None:
    result = encode(table.path, bert, name="words", dtype="float32", batch_size=4, progress=None)
    assert (result["features"], result["kind"]) == ("words", "text")
    opened, encoder = Table(table.path), TokenStates(bert)
    rows, offsets = opened.array("words"), opened.offsets("words")
    for text, state in enumerate(encoder(table.texts["text"].to_pylist())):
        np.testing.assert_allclose(rows[offsets[text] : offsets[text + 1]], state.numpy(), rtol=1e-4, atol=1e-5)


def test_an_encoded_table_passes_the_check_and_keeps_its_fingerprint(table: Table, vit: str, bert: str) -> None:
    for backbone in (vit, bert, vit):  # the second time the feature is replaced
        encode(table.path, backbone, progress=None)
    assert check(table.path, progress=None) == []
    assert Table(table.path).fingerprint == table.fingerprint
    assert files(table) >= {"features/vit.npy", "features/bert.npy", "features/bert.offsets.npy"}
    assert not [name for name in files(table) if name.startswith(".")]


def test_broken_images_are_all_listed_and_no_feature_is_added(table: Table, vit: str) -> None:
    before = files(table)
    path = table.image_root / "2.jpg"
    path.write_bytes(path.read_bytes()[:400])
    (table.image_root / "4.jpg").unlink()
    (table.image_root / "6.jpg").write_text("no picture")
    with pytest.raises(DataError) as caught:
        encode(table.path, vit, batch_size=1, progress=None)
    assert [(p.file, p.row) for p in caught.value.problems] == [
        (str(table.image_root / f"{n}.jpg"), n) for n in (2, 4, 6)
    ]
    assert all("allow_missing" in p.fix for p in caught.value.problems)
    assert files(table) == before
    assert Table(table.path).features == {}


def test_an_allowed_share_of_broken_images_gets_zeros_and_is_counted(table: Table, vit: str) -> None:
    (table.image_root / "4.jpg").unlink()
    with pytest.raises(DataError):
        encode(table.path, vit, allow_missing=0.1, progress=None)
    result = encode(table.path, vit, allow_missing=0.2, progress=None)
    assert result["missing"] == 1
    opened = Table(table.path)
    assert opened.features["vit"].encoder["missing"] == ["4.jpg"]
    assert [bool(row.any()) for row in opened.array("vit")] == [True] * 4 + [False] + [True] * 2


def test_features_that_overflow_half_precision_are_named(
    table: Table, vit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        for done in in_process(job, shards):
            done.features[done.rows == 5] = np.inf
            yield done

    with pytest.raises(DataError, match="float32") as caught:
        encode(table.path, vit, progress=None, map_batches=too_large)
    assert [(p.file, p.row) for p in caught.value.problems] == [(str(table.path / "items.arrow"), 5)]
    assert "'5.jpg'" in str(caught.value)
    assert Table(table.path).features == {}
    assert not (table.path / "encoding").exists()


def test_batches_may_come_back_in_any_order(table: Table, vit: str, bert: str) -> None:
    def reversed_order(job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        return iter(list(in_process(job, list(shards)))[::-1])

    for backbone in (vit, bert):
        ordered, reverted = f"{Path(backbone).name}1", f"{Path(backbone).name}2"
        encode(table.path, backbone, name=ordered, batch_size=2, shard_items=3, progress=None)
        reverse: dict[str, Any] = {"map_batches": reversed_order}
        encode(table.path, backbone, name=reverted, batch_size=2, shard_items=3, progress=None, **reverse)
        opened = Table(table.path)
        assert opened.features[ordered].sha256 == opened.features[reverted].sha256


@pytest.fixture
def repeating(tmp_path: Path) -> Table:
    """Ten images of two captions each, of which there are four in all."""
    texts = ["a dog runs", "a cat sleeps on grass", "a dog", "red"]
    entries = [entry(n, "train") for n in range(10)]
    for n, one in enumerate(entries):
        for place, sentence in enumerate(one["sentences"]):
            sentence["raw"] = texts[(n * 3 + place) % 4]
            sentence["tokens"] = sentence["raw"].split()
    return build("karpathy", karpathy(tmp_path / "root", entries), tmp_path / "table")


class Counted:
    """Runs a job in this process, notes the texts of its batches, and may fail after some of them."""

    def __init__(self, batches: int = 10**6) -> None:
        self.texts: list[str] = []
        self.left = batches

    def __call__(self, job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        job.open()
        for work in (work for shard in shards for work in shard):
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.texts += work.inputs
            yield job.encode(work, job.prepare(work))


def test_texts_that_repeat_are_encoded_once_and_have_the_same_features(repeating: Table, bert: str) -> None:
    counted = Counted()
    encode(repeating.path, bert, name="b", dtype="float32", batch_size=2, shard_items=3, progress=None,
           map_batches=counted)  # fmt: skip
    texts = repeating.texts["text"].to_pylist()
    assert len(texts) > 4 and sorted(counted.texts) == sorted(set(texts))
    opened, encoder = Table(repeating.path), TokenStates(bert)
    rows, offsets = opened.array("b"), opened.offsets("b")
    features = {text: rows[offsets[n] : offsets[n + 1]] for n, text in enumerate(texts)}
    for n, (text, state) in enumerate(zip(texts, encoder(texts), strict=True)):
        np.testing.assert_allclose(rows[offsets[n] : offsets[n + 1]], state.numpy(), rtol=1e-4, atol=1e-5)
        assert np.array_equal(rows[offsets[n] : offsets[n + 1]], features[text])


@pytest.mark.parametrize("batches", [1, 2])
def test_an_interrupted_encoding_of_texts_that_repeat_goes_on_to_the_same_bits(
    repeating: Table, bert: str, batches: int
) -> None:
    options: dict[str, Any] = {"dtype": "float32", "batch_size": 2, "shard_items": 3, "progress": None}
    encode(repeating.path, bert, name="whole", **options)
    with pytest.raises(KeyboardInterrupt):
        encode(repeating.path, bert, name="cut", map_batches=Counted(batches), **options)
    encode(repeating.path, bert, name="cut", map_batches=(counted := Counted()), **options)
    assert len(counted.texts) < 4 or batches == 1
    features = Table(repeating.path).features
    assert features["cut"].sha256 == features["whole"].sha256
    assert check(repeating.path, progress=None) == []


def test_options_out_of_bounds_are_errors_of_usage(table: Table, vit: str) -> None:
    for options in ({"dtype": "int8"}, {"batch_size": 0}, {"allow_missing": 2.0}):
        with pytest.raises(UsageError):
            encode(table.path, vit, progress=None, **options)  # type: ignore[arg-type]
