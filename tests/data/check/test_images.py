"""`data check` looks at images in several processes, and finds those that two splits share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.table import Table
from raytrain.errors import Problem
from tests.data import own
from tests.data.check.test_perceptual import photo
from tests.data.pictures import entry, karpathy

SPLITS = ["train", "train", "train", "val", "val", "test"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Six different photos."""
    root = karpathy(tmp_path / "root", [entry(n, split) for n, split in enumerate(SPLITS)], pictures=False)
    for number in range(len(SPLITS)):
        photo(number).save(root / "images" / f"{number}.jpg")
    return build("karpathy", root, tmp_path / "table")


def problems_of(table: Table, **options: Any) -> list[Problem]:
    return check(table.path, progress=None, **options)


def test_copies_across_splits_are_errors_and_inside_one_are_not(table: Table) -> None:
    shutil.copy(table.image_root / "0.jpg", table.image_root / "1.jpg")
    assert problems_of(table) == []
    shutil.copy(table.image_root / "0.jpg", table.image_root / "5.jpg")
    shutil.copy(table.image_root / "3.jpg", table.image_root / "4.jpg")
    (problem,) = problems_of(table)
    assert (problem.file, problem.row, problem.level) == (str(table.image_root / "5.jpg"), 5, "error")
    assert problem.what == "in test, and, byte for byte, '0.jpg' (row 0) in train"
    assert [problem.level for problem in problems_of(table, fail_on="nothing")] == ["warning"]


def test_near_duplicates_across_splits_are_warnings_until_they_are_asked_to_be_errors(table: Table) -> None:
    photo(2).resize((70, 50)).save(table.image_root / "3.jpg", quality=40)
    photo(4).convert("L").save(table.image_root / "5.jpg")
    problems = problems_of(table)
    assert [(problem.row, problem.level) for problem in problems] == [(3, "warning"), (5, "warning")]
    assert problems[0].what.startswith("in val, looks like '2.jpg' (row 2) in train: ")
    assert problems[1].what.startswith("in test, looks like '4.jpg' (row 4) in val: ")
    assert {problem.level for problem in problems_of(table, fail_on="near")} == {"error"}


def test_pictures_of_one_colour_are_not_alike(table: Table) -> None:
    from PIL import Image

    for number, colour in ((0, "white"), (3, "black"), (5, "red")):
        Image.new("RGB", (30, 20), colour).save(table.image_root / f"{number}.jpg")
    assert problems_of(table) == []


def test_two_processes_tell_what_one_tells(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.data.check.images._CHUNK", 2)
    (table.image_root / "1.jpg").write_bytes((table.image_root / "1.jpg").read_bytes()[:400])
    (table.image_root / "4.jpg").unlink()
    shutil.copy(table.image_root / "2.jpg", table.image_root / "5.jpg")
    alone, shared = (problems_of(table, workers=workers) for workers in (1, 2))
    assert alone == shared
    assert [(problem.row, problem.level) for problem in alone] == [(1, "error"), (4, "error"), (5, "error")]


def test_images_that_are_gone_are_said_not_to_have_been_looked_at(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    table.image_root.rename(table.path.parent / "moved")
    assert main(["data", "check", str(table.path), "--json"]) == 0
    output = capsys.readouterr()
    assert "warning: " in output.err and "none of 6 images was checked" in output.err
    assert "no problems, 1 warnings" in output.err
    assert json.loads(output.out)["problems"][0]["level"] == "warning"


def test_a_table_without_image_files_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    features = build("butd_tsv", own.butd_tsv(tmp_path / "root"), tmp_path / "table", progress=None)
    assert check(features.path, lines.append) == []
    assert any("names no image files" in line for line in lines)


def test_the_command_lists_all_or_the_first_twenty_and_exits_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = karpathy(tmp_path / "root", [entry(n, "val" if n else "train") for n in range(31)])
    table = build("karpathy", root, tmp_path / "table")
    for number in range(1, 31):
        shutil.copy(root / "images" / "0.jpg", root / "images" / f"{number}.jpg")
    assert main(["data", "check", str(table.path)]) == 3
    output = capsys.readouterr()
    assert len([line for line in output.err.splitlines() if "byte for byte" in line]) == 20
    assert "30 problems, no warnings" in output.out
    assert main(["data", "check", str(table.path), "--all"]) == 3
    assert len([line for line in capsys.readouterr().err.splitlines() if "byte for byte" in line]) == 30
    assert main(["data", "check", str(table.path), "--fail-on", "nothing"]) == 0
    assert main(["data", "check", str(table.path), "--no-images"]) == 0
