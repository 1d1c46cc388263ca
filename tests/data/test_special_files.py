"""Named pipes and devices are refused in every source before anything is opened, whichever file they stand for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raytrain.data.build import build, parse_options
from raytrain.data.detect import detect
from raytrain.data.special_files import refuse_special_files
from raytrain.errors import DataError
from raytrain.files import open_regular
from tests.data.layouts import LAYOUTS


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A pipe that is opened waits for ever."""

    def stop(*given: object) -> None:
        raise AssertionError("waited for a named pipe")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("a pipe"))
    path.symlink_to("a pipe")


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_source_and_detect_refuse_them_by_name(name: str, tmp_path: Path) -> None:
    root = LAYOUTS[name](tmp_path / "root")
    source, _, options = name.partition("-")
    chosen = parse_options(source, [option for option in options.split(",") if option])
    files = sorted(path for path in root.rglob("*") if path.is_file())
    by_suffix = {path.suffix: path for path in files}
    for number, path in enumerate(by_suffix.values()):
        content = path.read_bytes()
        path.unlink()
        (pipe, link_to_device)[number % 2](path)
        for act in (lambda: build(source, root, tmp_path / "table", **chosen), lambda: detect(root)):
            with pytest.raises(DataError, match=r"is a (named pipe|device), not a file") as caught:
                act()
            assert caught.value.problems[0].file == str(path)
        path.unlink()
        path.write_bytes(content)
    assert not (tmp_path / "table").exists()


@pytest.mark.parametrize("make", [pipe, link_to_pipe, link_to_device])
def test_readers_refuse_them_too(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(OSError, match="not a file"):
        open_regular(tmp_path / "x")


def test_links_to_files_folders_and_nothing_are_left_to_their_readers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, target in (("a", "file"), ("b", "."), ("c", "absent"), ("d", "d")):
        (tmp_path / name).symlink_to(target)
    refuse_special_files(tmp_path)
    with open_regular(tmp_path / "a") as file:
        assert file.read() == b"x"
