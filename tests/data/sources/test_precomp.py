"""Precomputed arrays in the SCAN layout."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytrain.data.build import build
from raytrain.data.detect import detect
from raytrain.errors import DataError, DiskFullError, Problem, UsageError
from tests.data.pictures import left_behind

IMAGES = {"train": 6, "dev": 3, "test": 2, "testall": 4}
R, F = 4, 8


def write(root: Path, repeated: tuple[str, ...] = ("dev", "test", "testall"), end: str = "\n") -> Path:
    """The four splits as distributed: one row per image in train, one row per caption in the others."""
    root.mkdir()
    random = np.random.default_rng(0)
    for stem, images in IMAGES.items():
        rows = random.random((images, R, F), dtype=np.float32) * 50
        captions = [f"Caption {k} of {stem} {image} ü" for image in range(images) for k in range(5)]
        np.save(root / f"{stem}_ims.npy", np.repeat(rows, 5, 0) if stem in repeated else rows)
        (root / f"{stem}_caps.txt").write_bytes("".join(caption + end for caption in captions).encode())
    return root


def refused(root: Path, **options: Any) -> list[Problem]:
    out = root.parent / "tables"
    out.mkdir()
    with pytest.raises(DataError) as caught:
        build("precomp", root, out / "made", progress=None, **options)
    assert left_behind(out) == []
    return caught.value.problems


def test_the_miniature_becomes_the_table_one_expects(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    table = build("precomp", root, tmp_path / "table", dtype="float32", progress=None)
    assert {name: split["items"] for name, split in table.splits.items()} == {"train": 6, "val": 3, "test": 2}
    assert table.texts.to_pylist()[34]["text"] == "Caption 4 of dev 0 ü"
    expected = [
        np.load(root / "train_ims.npy"),
        np.load(root / "dev_ims.npy")[::5],
        np.load(root / "test_ims.npy")[::5],
    ]
    np.testing.assert_array_equal(table.array("butd"), np.concatenate(expected))


def test_both_row_conventions_give_equal_tables(tmp_path: Path) -> None:
    a = build("precomp", write(tmp_path / "a"), tmp_path / "table_a", progress=None)
    b = build("precomp", write(tmp_path / "b", repeated=()), tmp_path / "table_b", progress=None)
    assert a.fingerprint == b.fingerprint
    assert a.features["butd"].sha256 == b.features["butd"].sha256


def test_small_chunks_give_what_one_chunk_gives_and_hold_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "root")
    whole = build("precomp", root, tmp_path / "whole", progress=None).features["butd"].sha256
    largest = 0
    real = np.asarray

    def watch(rows: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal largest
        if isinstance(rows, np.memmap):
            largest = max(largest, len(rows))
        return real(rows, *args, **kwargs)

    monkeypatch.setattr("raytrain.data.sources.precomp.np.asarray", watch)
    parts = build("precomp", root, tmp_path / "parts", chunk_images=2, progress=None).features["butd"].sha256
    assert parts == whole
    assert largest == 2 * 5  # two images of the repeated arrays


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    a = build("precomp", write(tmp_path / "a"), tmp_path / "table_a", progress=None)
    root = write(tmp_path / "b", end="\r\n")
    captions = root / "train_caps.txt"
    captions.write_bytes(b"\xef\xbb\xbf" + captions.read_bytes().removesuffix(b"\r\n"))
    assert build("precomp", root, tmp_path / "table_b", progress=None).fingerprint == a.fingerprint


def test_separators_inside_a_caption_do_not_split_it(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    lines = (root / "train_caps.txt").read_text().split("\n")
    lines[0] = "one\u2028line\x0bonly\x85here"
    (root / "train_caps.txt").write_text("\n".join(lines))
    table = build("precomp", root, tmp_path / "table", progress=None)
    assert len(table.split("train").texts) == 30


def test_testall_none_and_the_first_dev_images_can_be_chosen(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    table = build("precomp", root, tmp_path / "a", test="testall", dev_images=2, progress=None)
    assert {name: split["items"] for name, split in table.splits.items()} == {"train": 6, "val": 2, "test": 4}
    assert "test" not in build("precomp", root, tmp_path / "b", test="none", progress=None).splits


def test_ids_follow_either_convention(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    (root / "train_ids.txt").write_text("".join(f"{100 + n}\n" for n in range(6)))
    (root / "dev_ids.txt").write_text("".join(f"{200 + n // 5}\n" for n in range(15)))
    (root / "test_ids.txt").write_text("300\n301\n")
    ids = build("precomp", root, tmp_path / "table", progress=None).items["id"].to_pylist()
    assert ids == ["100", "101", "102", "103", "104", "105", "200", "201", "202", "300", "301"]


def test_a_caption_file_one_line_short_is_named_with_its_last_line(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    lines = (root / "train_caps.txt").read_text().splitlines(keepends=True)
    (root / "train_caps.txt").write_text("".join(lines[:-1]))
    (problem,) = refused(root)
    assert (problem.file, problem.row) == (str(root / "train_caps.txt"), 29)
    assert "needs 30 captions" in problem.what


def test_an_array_of_another_width_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    np.save(root / "dev_ims.npy", np.zeros((15, R, F + 1), np.float32))
    (problem,) = refused(root)
    assert problem.file == str(root / "dev_ims.npy")
    assert "(4, 9)" in problem.what
    assert "(4, 8)" in problem.what


@pytest.mark.parametrize("array", [np.zeros((15, 8), np.float32), np.zeros((15, R, F), np.int32)])
def test_an_array_of_another_kind_is_named(tmp_path: Path, array: np.ndarray) -> None:
    root = write(tmp_path / "root")
    np.save(root / "dev_ims.npy", array)
    (problem,) = refused(root)
    assert problem.file == str(root / "dev_ims.npy")
    assert "expected (images, regions, features)" in problem.what


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    np.save(root / "test_ims.npy", np.array([{"a": 1}] * 10, dtype=object), allow_pickle=True)
    (problem,) = refused(root)
    assert problem.file == str(root / "test_ims.npy")
    assert "Python objects" in problem.what


def test_a_truncated_array_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    path = root / "train_ims.npy"
    path.write_bytes(path.read_bytes()[:-100])
    assert [problem.file for problem in refused(root)] == [str(path)]


def test_all_missing_files_are_listed_at_once(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    for name in ("train_ims.npy", "dev_caps.txt", "test_caps.txt"):
        (root / name).unlink()
    assert {Path(problem.file).name for problem in refused(root)} == {"train_ims.npy", "dev_caps.txt", "test_caps.txt"}


def test_nan_infinity_and_what_overflows_half_precision_are_found_by_row(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    rows = np.load(root / "train_ims.npy")
    rows[2, 1, 3], rows[4, 0, 0] = np.nan, 1e6
    np.save(root / "train_ims.npy", rows)
    problems = refused(root)
    assert [(problem.row, problem.what[:21]) for problem in problems] == [
        (2, "a feature is NaN or i"), (4, "a feature does not fi"),
    ]  # fmt: skip


def test_rows_that_should_repeat_but_differ_are_found(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    rows = np.load(root / "dev_ims.npy")
    rows[7] += 1
    np.save(root / "dev_ims.npy", rows)
    (problem,) = refused(root, chunk_images=1)
    assert (problem.file, problem.row) == (str(root / "dev_ims.npy"), 5)


def test_empty_lines_wrong_encodings_and_printed_bytes_are_named_by_line(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    lines = (root / "train_caps.txt").read_bytes().split(b"\n")
    lines[1], lines[3], lines[6] = b"  ", b"caf\xe9", b"b'a dog'"
    (root / "train_caps.txt").write_bytes(b"\n".join(lines))
    assert sorted(problem.row or 0 for problem in refused(root)) == [2, 4, 7]


def test_an_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    (root / "train_ids.txt").write_text("".join(f"{n}\n" for n in range(6)))
    (root / "test_ids.txt").write_text("50\n3\n")
    (problem,) = refused(root)
    assert problem.row == 5
    assert "in train too" in problem.what


def test_a_wrong_number_or_repeat_of_ids_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    (root / "train_ids.txt").write_text("1\n2\n")
    (root / "dev_ids.txt").write_text("7\n8\n7\n")
    problems = refused(root)
    assert [(Path(p.file).name, p.row) for p in problems] == [("train_ids.txt", 2), ("dev_ids.txt", 3)]


def test_options_out_of_bounds_are_errors_of_usage(tmp_path: Path) -> None:
    for options in ({"dtype": "int8"}, {"test": "all"}, {"dev_images": 0}):
        with pytest.raises(UsageError):
            build("precomp", tmp_path, tmp_path / "table", **options)


def test_a_disk_that_fills_up_is_told_and_nothing_stays(tmp_path: Path) -> None:
    root, out = write(tmp_path / "root"), tmp_path / "tables"
    for stem, images in IMAGES.items():
        np.save(root / f"{stem}_ims.npy", np.zeros((images, 8, 4096), np.float32))
    out.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))  # a file that may grow no more
    try:
        with pytest.raises(DiskFullError, match=r"no room for table .*made"):
            build("precomp", root, out / "made", progress=None, chunk_images=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_behind(out) == []


CAPPED = """
import resource, sys
import subprocess
import sys
from pathlib import Path
from raytrain.data.annotations import items
from raytrain.data.build import build
items.tokenize = str.split  # importing nltk would take most of the test's time
small, large, out = map(Path, sys.argv[1:])
build("precomp", small, out / "small", progress=None)  # everything is imported now
def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024
used, held = status("VmData"), status("VmRSS")
resource.setrlimit(resource.RLIMIT_DATA, (used + 64 * 2**20,) * 2)
try:
    bytearray(128 * 2**20)
except MemoryError:
    print("capped")
print(build("precomp", large, out / "large", progress=None, chunk_images=16).splits["train"]["items"])
print((status("VmHWM") - held) // 2**20)  # pages of mapped files are part of it
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of a process is read from Linux' /proc")
def test_a_split_larger_than_the_memory_allowed_is_streamed(tmp_path: Path) -> None:
    root = write(tmp_path / "large")
    for stem in ("train", "dev", "test"):
        images = 500 if stem == "train" else 2
        # 147 MB of zeros, sparse on disk
        rows = np.lib.format.open_memmap(root / f"{stem}_ims.npy", "w+", np.float32, (images, 36, 2048))
        del rows
        (root / f"{stem}_caps.txt").write_text("A caption.\n" * images * 5)
    command = [sys.executable, "-c", CAPPED, str(write(tmp_path / "small")), str(root), str(tmp_path / "out")]
    repository = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split()[:2] == ["capped", "500"], done.stderr
    assert int(done.stdout.split()[2]) < 50, "MiB above the start, for 147 MB read and 74 MB written"


@pytest.mark.parametrize(("rows", "captions", "number"), [(10, 10, 1), (11, 11, 1), (4, 12, 3), (11, 13, 0)], ids=str)
def test_the_error_names_the_number_of_captions_per_image(
    rows: int, captions: int, number: int, tmp_path: Path
) -> None:
    for stem in ("train", "dev", "test"):
        np.save(tmp_path / f"{stem}_ims.npy", np.random.default_rng(0).random((rows, 2, 3), dtype=np.float32))
        (tmp_path / f"{stem}_caps.txt").write_text("".join(f"caption {n}\n" for n in range(captions)))
    with pytest.raises(DataError) as caught:
        build("precomp", tmp_path, tmp_path / "table", progress=None)
    fixes = {problem.fix for problem in caught.value.problems}
    ending = "et both files from one source."
    assert fixes == {f"Build with texts_per_image={number}, or g{ending}" if number else f"G{ending}"}
    if number:
        (best,) = detect(tmp_path)
        assert best.layout.options == {"texts_per_image": number}
