"""Images behind URLs: read alike, contained alike, limited alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data import images, storage
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.encode.encode import encode
from raytrain.data.presence import Presence
from raytrain.data.storage import Url, open_image, root_of
from raytrain.data.table import Table
from raytrain.errors import DataError, Interrupted, UsageError
from tests.data import own
from tests.encoders import tiny_models

fsspec = pytest.importorskip("fsspec", reason="needs the extra `encode`")


@pytest.fixture
def store() -> Iterator[Any]:
    """fsspec's store in memory, with eight pictures below photos/ and one beside it."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for number in range(8):
        memory.pipe_file(f"/photos/{number}.png", own.picture(number))
    memory.pipe_file("/secret.png", own.picture(99))
    yield memory
    memory.store.clear()


def rows(root: Path, names: list[str]) -> Path:
    own.put(root / "captions.csv", own.as_csv([{"image": n, "text": f"it is {n}", "split": "train"} for n in names]))
    return root


def test_a_table_of_images_in_a_store_is_encoded_as_one_of_a_folder(store: Any, tmp_path: Path) -> None:
    vit = str(tiny_models.vit(tmp_path / "vit"))
    local, remote = own.captions(tmp_path / "local"), rows(tmp_path / "far", [f"{number}.png" for number in range(8)])
    local_table = build("captions", local, tmp_path / "here")
    store_table = build("captions", remote, tmp_path / "there", images="memory://photos")
    url_table = build("captions", remote, tmp_path / "file", images=f"file://{local}/images")
    assert store_table.description.image_root == "memory://photos"
    assert isinstance(url_table.image_root, Path)
    for table in (local_table, store_table, url_table):
        encode(table.path, vit, progress=None)
        assert check(table.path, progress=None) == []
    features = [Table(table.path).features["vit"] for table in (local_table, store_table, url_table)]
    assert len({feature.sha256 for feature in features}) == 1


@pytest.mark.parametrize(
    ("source", "make"), [("karpathy", None), ("composed", own.composed)], ids=["karpathy", "composed"]
)
def test_other_sources_read_a_store_too(store: Any, tmp_path: Path, source: str, make: Any) -> None:
    from tests.data.pictures import entry, karpathy

    if make is None:
        names = [entry(n, "train", filename=f"{n}.png") for n in range(8)]
        root = karpathy(tmp_path / "root", names, pictures=False)
    else:
        root = make(tmp_path / "root")
    table = build(source, root, tmp_path / "table", images="memory://photos")
    assert isinstance(table.image_root, Url)
    assert check(table.path, progress=None) == []


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "a/../../secret.png", "memory://secret.png/../x", ""])
def test_no_annotation_leads_out_of_a_store(store: Any, tmp_path: Path, name: str) -> None:
    root = Url("memory://photos")
    with pytest.raises(DataError):
        open_image(root, name)
    assert Presence(root).find(name).kind == "path"
    if name:
        code = main(["data", "build", "captions", "--root", str(rows(tmp_path, ["0.png", name])),
                     "--out", str(tmp_path / "table"), "images=memory://photos"])  # fmt: skip
        assert code == 3
        assert not (tmp_path / "table").exists()


def test_a_name_that_looks_like_a_url_or_a_pattern_is_only_a_name(store: Any) -> None:
    """fsspec would open the first as another store, and expand the second."""
    for name in ("memory://secret.png", "file:///etc/passwd", "*.png", "[0-9].png", "x::memory://secret.png"):
        with pytest.raises(DataError):
            open_image(Url("memory://photos"), name)


def test_missing_and_broken_images_of_a_store_are_listed(store: Any, tmp_path: Path) -> None:
    store.pipe_file("/photos/3.png", b"no picture")
    code_args = (str(rows(tmp_path, ["0.png", "gone.png", "3.png"])), tmp_path / "table")
    with pytest.raises(DataError, match=r"memory://photos/gone\.png not found"):
        build("captions", *code_args, images="memory://photos")
    table = build("captions", *code_args, images="memory://photos", allow_missing=0.4)
    assert table.description.missing == ["gone.png"]
    with pytest.raises(DataError) as caught:
        encode(table.path, str(tiny_models.vit(tmp_path / "vit")), progress=None)
    assert [(problem.file, problem.row) for problem in caught.value.problems] == [("memory://photos/3.png", 1)]
    assert Table(table.path).features == {}


def test_limits_come_before_decoding(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pipe_file("/photos/huge.png", own.picture(0, size=(60, 60))[:100])  # its header is whole, its pixels are not
    with pytest.raises(DataError, match="truncated"):
        open_image(Url("memory://photos"), "huge.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    monkeypatch.setattr(images.decode, "__defaults__", ("", 1000, images.FIX))
    with pytest.raises(DataError, match="60 x 60 pixels"):
        open_image(Url("memory://photos"), "huge.png")
    monkeypatch.setattr(storage, "MAX_IMAGE_BYTES", 50)
    with pytest.raises(DataError, match="more than 50 bytes"):
        open_image(Url("memory://photos"), "huge.png")


def test_a_store_that_does_not_answer_interrupts_and_is_asked_again(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PAUSE_S", 0.0)
    requests, open_file = [], type(store).open

    def down(self: Any, path: str, *args: Any, **options: Any) -> Any:
        requests.append(path)
        if len(requests) % 4:
            raise ConnectionError("no route")
        return open_file(self, path, *args, **options)

    monkeypatch.setattr(type(store), "open", down)
    with pytest.raises(Interrupted, match=r"memory://photos/1\.png cannot be read: ConnectionError: no route"):
        open_image(Url("memory://photos"), "1.png")
    assert len(requests) == storage.TRIES
    assert open_image(Url("memory://photos"), "1.png").size == (6, 5)  # the fourth answers


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "https://host/x", "s3://user:secret@bucket/x", "s3://bucket/x?versionId=1", "s3://bucket/../x",
     "simplecache::s3://bucket/x", "s3://a::s3://b", "reference://x"],
)  # fmt: skip
def test_urls_that_are_not_one_plain_place_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        root_of(url, tmp_path)


@pytest.mark.parametrize(("url", "package"), [("s3://b/x", "s3fs"), ("gs://b/x", "gcsfs"), ("az://b/x", "adlfs")])
def test_a_missing_package_is_named(
    url: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    root = rows(tmp_path / "root", ["0.png"])
    code = main(["data", "build", "captions", "--root", str(root), "--out", str(tmp_path / "t"), f"images={url}"])
    assert code == 2
    assert f"from {url.partition(':')[0]}:// needs {package}: pip install {package}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
