"""WebDataset shards: samples, and tar files that are damaged or lie."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.detect import detect
from raytrain.data.problems import Problems
from raytrain.data.sources import webdataset
from raytrain.data.sources.webdataset import samples, shards
from raytrain.data.table import Table
from raytrain.errors import DataError
from tests.data import own
from tests.data.damage import EDITS, edited, folder, many
from tests.data.own import member, picture, put, sample, shipped, tar
from tests.data.pictures import left_behind


def test_members_that_are_not_read_are_counted_and_whole_texts_stay_whole(tmp_path: Path) -> None:
    root = tmp_path / "root"
    facts = json.dumps({"caption": "from json", "note": ["elsewhere"]}).encode()
    members = [
        member("a/0.JPG", picture(0, "JPEG")), member("a/0.txt", b"two\nlines"), member("a/0.json", facts),
        member("a/0.cls", b"3"), member("a/1.pyd", b"cos\nsystem"), member("a/1.jpeg", picture(1, "JPEG")),
        member("a/1.txt", b"x"), member("a", kind=tarfile.DIRTYPE),
    ]  # fmt: skip
    own.tar(root / "train.tar", members)
    table = build("webdataset", root, tmp_path / "table")
    assert table.texts["text"].to_pylist() == ["two lines", "x"]
    assert table.description.source["ignored_members"] == {".cls": 1, ".pyd": 1}
    assert table.items["file"].to_pylist()[0].endswith(".jpg")
    again = build("webdataset", root, tmp_path / "b", text="note", allow_missing=0.5)
    assert (again.texts["text"].to_pylist(), again.description.missing) == (["elsewhere"], ["a/1"])
    assert [path.is_file() for path in again.image_root.glob("*/*")] == [True]  # the other picture is not shipped


def test_a_failed_rebuild_keeps_the_table_with_its_pictures(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    table = build("webdataset", root, tmp_path / "table")
    put(root / "train-1.tar", b"x" * 1024)
    with pytest.raises(DataError):
        build("webdataset", root, tmp_path / "table")
    assert Table(table.path).fingerprint == table.fingerprint
    assert check(table.path, None) == []
    assert left_behind(tmp_path) == ["root", "table"]


def archive(*members: tuple[Any, bytes]) -> bytes:
    with folder() as home:
        return tar(home / "a.tar", members).read_bytes()


def signed(header: bytes) -> bytes:
    """A tar header with the right checksum."""
    empty = header[:148] + b" " * 8 + header[156:512]
    return header[:148] + b"%06o\0 " % sum(empty) + header[156:512]


def read_shard(data: bytes) -> list[str]:
    """Keys of the samples that came before a DataError, or of all."""
    keys: list[str] = []
    with folder() as home, contextlib.suppress(DataError):
        keys += (sample_read.key for sample_read in samples(put(home / "a.tar", data), Problems(), Counter()))
    return keys


@many
@given(content=st.binary(max_size=1500))
def test_bytes_of_any_kind_are_no_shard(content: bytes) -> None:
    assert read_shard(content) == []


@many
@given(edits=EDITS)
def test_damaged_shards_give_samples_or_a_data_error(edits: list[tuple[float, bytes]]) -> None:
    read_shard(edited(archive(*sample(0), *sample(1)), edits))


FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "size": (124, 12),
    "type": (156, 1),
    "link": (157, 100),
    "prefix": (345, 155),
}


@many
@given(
    field=st.sampled_from(sorted(FIELDS)),
    content=st.binary(max_size=12)
    | st.sampled_from([b"\xff" * 12, b"77777777777\0", b"x", b"g", b"S", b"L", b"K", b"5", b"1"]),
    pax=st.binary(max_size=40)
    | st.sampled_from([b"13 size=-512\n", b"20 size=99999999999\n", b"9 path=\n", b"99 path=x\n"]),
)
def test_headers_that_lie_under_a_right_checksum_give_samples_or_a_data_error(
    field: str, content: bytes, pax: bytes
) -> None:
    data = archive(*sample(0), member("x.txt", pax), *sample(1))
    start = data.index(b"x.txt")
    offset, size = FIELDS[field]
    header = bytearray(data[start : start + 512])
    header[offset : offset + min(size, len(content))] = content[:size]
    read_shard(data[:start] + signed(bytes(header)) + data[start + 512 :])


def test_a_negative_size_does_not_lead_round_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.data.sources.webdataset.MAX_MEMBERS", 100)
    pax = tarfile.TarInfo("x")
    pax.type, content = tarfile.XHDTYPE, b"14 size=-1536\n"  # back to this very header
    pax.size = len(content)
    header = pax.tobuf(tarfile.USTAR_FORMAT)
    first = archive(member("0000.txt", b"x"))[:1024]
    data = first + signed(header[:512]) + content.ljust(512, b"\0") + archive(*sample(0))
    with pytest.raises(DataError, match="ends before it begins"):
        list(samples(put(tmp_path / "a.tar", data), Problems(), Counter()))


def test_a_member_of_a_thousand_gigabytes_is_refused_by_its_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("0.png")
    info.size = 10**12
    path = put(tmp_path / "a.tar", info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    problems = Problems()
    with pytest.raises(DataError):
        list(samples(path, problems, Counter()))
    assert [problem.what for problem in problems.list()] == [
        "member '0.png': 1,000,000,000,000 bytes, at most 268,435,456 allowed"
    ]


def test_a_shard_of_too_many_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.data.sources.webdataset.MAX_MEMBERS", 3)
    path = tar(tmp_path / "a.tar", [*sample(0), *sample(1)])
    with pytest.raises(DataError, match="row 3: more than 3 members"):
        list(samples(path, Problems(), Counter()))


def test_the_miniature_becomes_exactly_this_table(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    own.check_miniature(
        "webdataset", root, tmp_path, [f"{n:04d}" for n in range(8)], [shipped(n) for n in range(8)], lines=True
    )


def test_a_sample_is_the_members_with_one_name_up_to_its_first_dot(tmp_path: Path) -> None:
    members = [
        member("a/0.left.PNG", b"1"), member("a/0.txt", b"x"), member("b/0.json", b'["y"]'), member("a/0.txt", b"z"),
        member(".png", b"2"),
    ]  # fmt: skip
    problems = Problems()
    read = list(samples(tar(tmp_path / "a.tar", members), problems, Counter()))
    assert [(part.key, part.place.row, part.images, part.texts, part.facts) for part in read] == [
        ("a/0", 0, [("a/0.left.PNG", b"1")], ["x"], {}),
        ("b/0", 2, [], [], {"captions": ["y"]}),
        ("a/0", 3, [], ["z"], {}),  # members that are apart are two samples
        ("", 4, [(".png", b"2")], [], {}),
    ]
    assert [(problem.row, problem.what.partition(",")[0]) for problem in problems.list()] == [
        (3, "member 'a/0.txt' belongs to 'a/0'")
    ]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train-0.tar", "train"),
        ("val/0.tar", "val"),
        ("dev/train-0.tar", "dev"),
        ("x/0.tar", ""),
        ("train-val.tar", ""),
    ],
)
def test_a_shard_is_of_the_split_of_its_folder_or_its_name(path: str, split: str, tmp_path: Path) -> None:
    put(tmp_path / path, b"")
    (shard,) = shards(tmp_path)
    assert webdataset._stated(tmp_path, shard) == split


def test_texts_of_several_lines_are_told_and_detected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As benchmarks write retrieval data: one .txt with a line per caption."""
    for split, number in (("train", 0), ("val", 1)):
        text = b"a dog\na brown dog\n"
        own.tar(tmp_path / "root" / f"{split}.tar", [member("0.png", picture(number)), member("0.txt", text)])
    build_words = ["data", "build", "webdataset", "--root", str(tmp_path / "root"), "--out", str(tmp_path / "t")]
    assert main(build_words) == 0
    assert (
        "texts of several lines that are one caption (lines=true makes one of each line): 2" in capsys.readouterr().out
    )
    (best,) = detect(tmp_path / "root")
    assert best.layout.options == {"lines": True} and best.command.endswith("lines=true")
    assert main([*build_words, "lines=true"]) == 0
    assert len(Table(tmp_path / "t").texts) == 4
    assert "several lines" not in capsys.readouterr().out


def test_compressed_shards_say_so(tmp_path: Path) -> None:
    put(tmp_path / "a.tar.gz", b"x")
    with pytest.raises(DataError, match=r"a\.tar\.gz is compressed\. Decompress the shards"):
        shards(tmp_path)
