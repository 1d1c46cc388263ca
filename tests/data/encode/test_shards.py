"""Encodings that stop in the middle: which shards a later run reuses, which it refuses, and its messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import Done, Job, Work, in_process
from raytrain.data.table import Table
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.files import locked
from tests.data.pictures import entry, karpathy, write_image
from tests.encoders import tiny_models

OPTIONS: dict[str, Any] = {"batch_size": 2, "shard_items": 4, "progress": None}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Eleven images, two captions each."""
    return build(
        "karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(11)]), tmp_path / "table"
    ).path


@pytest.fixture(scope="module")
def undisturbed(vit: str, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """sha256 of the features of the same eleven images, encoded without a stop."""
    home = tmp_path_factory.mktemp("undisturbed")
    made = build("karpathy", karpathy(home / "root", [entry(n, "train") for n in range(11)]), home / "table")
    encode(made.path, vit, **OPTIONS)
    return Table(made.path).features["vit"].sha256


class Stop(Exception):
    """What a test throws in place of a kill; tests/faults/test_kill_data.py kills."""


class Counting:
    """The mapper of one process that counts what it encodes, and stops before a batch."""

    def __init__(self, stop_before: int = 1_000_000) -> None:
        self.stop_before, self.rows = stop_before, list[int]()

    def __call__(self, job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        for batch, done in enumerate(in_process(job, shards)):
            if batch == self.stop_before:
                raise Stop
            self.rows += done.rows.tolist()
            yield done


def stopped(table: Path, backbone: str, before: int, **options: Any) -> None:
    with pytest.raises(Stop):
        encode(table, backbone, map_batches=Counting(before), **{**OPTIONS, **options})


def lines(table: Path, name: str) -> Path:
    return table / "encoding" / name / "shards.jsonl"


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_later_run_encodes_only_what_is_missing(table: Path, vit: str, bert: str, kind: str) -> None:
    backbone = vit if kind == "image" else bert
    whole = encode(table, backbone, name="whole", **OPTIONS)
    total = whole["shape"][0] if kind == "image" else 22
    stopped(table, backbone, 5, name="half")  # two batches a shard: two shards, and half of the third
    progress_lines: list[str] = []
    counting = Counting()
    options = OPTIONS | {"name": "half", "progress": progress_lines.append}
    done = encode(table, backbone, map_batches=counting, **options)
    assert done["taken_up"] == 8
    assert sorted(counting.rows) == list(range(8, total))
    assert f"half: 2 of {-(-total // 4)} shards are complete already" in progress_lines
    assert f"{total}/{total}" in progress_lines[-1]
    features = Table(table).features
    assert features["half"].sha256 == features["whole"].sha256
    assert features["half"].offsets_sha256 == features["whole"].offsets_sha256
    assert not (table / "encoding").exists()
    assert check(table, progress=None) == []


def test_a_stopped_encoding_leaves_the_table_as_it_was(table: Path, vit: str) -> None:
    before = (table / "table.json").read_bytes()
    stopped(table, vit, 5)
    assert (table / "table.json").read_bytes() == before
    assert check(table, progress=None) == []
    stopped(table, vit, 1, name="none")  # not one shard: nothing is kept
    assert [path.name for path in (table / "encoding").iterdir()] == ["vit"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"dtype": "float32"}, "dtype was 'float16', is 'float32'"), ({"batch_size": 4}, "batch_size was 2, is 4"),
     ({"pad": 1.25}, "target_pad was None, is 1.25")],
)  # fmt: skip
def test_shards_of_another_encoding_are_refused_and_dropped_on_demand(
    table: Path, vit: str, change: dict[str, Any], difference: str
) -> None:
    stopped(table, vit, 5)
    kept = lines(table, "vit").read_bytes()
    with pytest.raises(RefusedError, match="replace=True") as caught:
        encode(table, vit, **OPTIONS | change)
    assert difference in str(caught.value)
    assert lines(table, "vit").read_bytes() == kept
    done = encode(table, vit, replace=True, **OPTIONS | change)
    assert done["taken_up"] == 0
    encode(table, vit, name="fresh", **OPTIONS | change)
    features = Table(table).features
    assert features["vit"].sha256 == features["fresh"].sha256


def test_another_model_in_the_same_place_is_another_encoding(table: Path, tmp_path: Path) -> None:
    """Folder and name are the same; the weights, or only how images are prepared, are not."""
    place = tiny_models.vit(tmp_path / "model")
    stopped(table, str(place), 5)
    settings = place / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace("0.5", "0.4"))
    with pytest.raises(RefusedError, match="settings_sha256"):
        encode(table, str(place), **OPTIONS)


@pytest.mark.parametrize("harm", ["rows", "line", "foreign", "torn"])
def test_a_shard_that_is_not_what_its_line_says_is_encoded_again(
    table: Path, vit: str, undisturbed: str, harm: str
) -> None:
    stopped(table, vit, 5)
    journal = lines(table, "vit")
    first, second = journal.read_text().splitlines()
    if harm == "rows":
        with open(journal.with_name("rows.npy"), "rb+") as file:
            file.seek(-1 - 7 * 17 * 16 * 2, 2)  # the last byte of the first shard
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
    if harm == "line":
        journal.write_text(f'{{"shard": 0}}\n"text"\nno json\n{second}\n')
    if harm == "foreign":
        journal.write_text(first.replace(json.loads(first)["encoding"], "0" * 64) + f"\n{second}\n")
    if harm == "torn":
        journal.write_text(f"{second}\n{first[:-9]}")
    assert encode(table, vit, **OPTIONS)["taken_up"] == 4
    features = Table(table).features
    assert features["vit"].sha256 == undisturbed


def test_a_shard_with_a_repaired_image_is_encoded_again(table: Path, vit: str, undisturbed: str) -> None:
    root = Table(table).image_root
    (root / "1.jpg").write_text("no picture")  # type: ignore[union-attr]
    stopped(table, vit, 5, allow_missing=0.1)
    stopped(table, vit, 1, allow_missing=0.1)  # it is broken still: both shards are taken up
    with pytest.raises(DataError) as caught:
        encode(table, vit, **OPTIONS)
    assert [problem.row for problem in caught.value.problems] == [1]
    write_image(root / "1.jpg", 1)  # type: ignore[operator]
    assert encode(table, vit, **OPTIONS)["taken_up"] == 4
    features = Table(table).features
    assert features["vit"].sha256 == undisturbed
    assert features["vit"].encoder["missing"] == []


def test_broken_images_do_not_cost_the_shards_before_them(table: Path, vit: str) -> None:
    root = Table(table).image_root
    (root / "9.jpg").unlink()  # type: ignore[union-attr]
    with pytest.raises(DataError):
        encode(table, vit, **OPTIONS)
    write_image(root / "9.jpg", 9)  # type: ignore[operator]
    assert encode(table, vit, **OPTIONS)["taken_up"] == 8


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_while_the_array_moves_into_the_table(
    table: Path, vit: str, undisturbed: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raytrain.data.encode import encode as encoding
    from raytrain.data.table import description

    write, add = description.write_json, encoding.add_feature

    def no_writing(path: Path, value: Any) -> Path:
        raise Stop

    def added_then_stopped(*arguments: Any) -> None:
        add(*arguments)
        raise Stop

    with monkeypatch.context() as patched:
        if moment == "before":
            patched.setattr(encoding, "add_feature", lambda *_: no_writing(table, None))
        if moment == "between":
            patched.setattr(description, "write_json", no_writing)
        if moment == "after":
            patched.setattr(encoding, "add_feature", added_then_stopped)
        with pytest.raises(Stop):
            encode(table, vit, **OPTIONS)
    assert ("vit" in Table(table).features) == (moment == "after")
    assert check(table, progress=None) == []
    assert write is description.write_json
    counting = Counting()
    encode(table, vit, map_batches=counting, **OPTIONS)
    assert counting.rows == []  # every shard was there
    features = Table(table).features
    assert features["vit"].sha256 == undisturbed
    assert not (table / "encoding").exists()


def test_two_backbones_side_by_side(table: Path, vit: str, bert: str, tmp_path: Path) -> None:
    """A second encoding touches nothing of the first, which may be unfinished; a name that is taken is told."""
    clip = str(tiny_models.clip(tmp_path / "clip"))
    encode(table, vit, **OPTIONS)
    first = (table / "features" / "vit.npy").read_bytes()
    stopped(table, clip, 5, kind="image", name="see")
    encode(table, bert, **OPTIONS)
    encode(table, clip, kind="text", name="read", **OPTIONS)
    encode(table, clip, kind="image", name="see", **OPTIONS)
    opened = Table(table)
    assert list(opened.features) == ["vit", "bert", "read", "see"]
    assert (table / "features" / "vit.npy").read_bytes() == first
    assert check(table, progress=None) == []
    with pytest.raises(RefusedError, match=r"It has: vit \(image\), bert \(text\), read \(text\), see \(image\)"):
        encode(table, clip, kind="image", name="vit", **OPTIONS)
    assert (table / "features" / "vit.npy").read_bytes() == first
    with pytest.raises(UsageError, match=r"no image feature 'lite9'. It has: vit \(image\)"):
        opened.feature("lite9", "image")
    assert encode(table, vit, **OPTIONS)["items_per_second"] is None  # the very same is there already
    encode(table, clip, kind="image", name="vit", replace=True, **OPTIONS)
    assert Table(table).features["vit"].shape == (11, 5, 16)


def test_one_process_writes_a_feature(table: Path, vit: str) -> None:
    stopped(table, vit, 5)
    with locked(lines(table, "vit")), pytest.raises(RefusedError, match="another process is writing features vit"):
        encode(table, vit, **OPTIONS)


def test_a_name_stays_in_the_table(table: Path, vit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "encode", str(table), "--backbone", vit, "--name", "../x"]) == 2
    assert "perhaps use 'x'" in capsys.readouterr().err
