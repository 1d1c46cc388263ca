"""What a table lacks is counted by reason and split, bounded, and stated with every result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing, annotated, exceeds, notes
from raytrain.data.table.description import FeatureEntry
from raytrain.errors import UsageError
from tests.data.pictures import entry, karpathy
from tests.tables import redescribe

SPLITS = ["train"] * 4 + ["val"] * 3 + ["test"] * 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten images with two captions each; one of train is gone, one of val no picture."""
    root = karpathy(tmp_path / "root", [entry(n, split) for n, split in enumerate(SPLITS)])
    (root / "images" / "1.jpg").unlink()
    (root / "images" / "5.jpg").write_bytes(b"no picture")
    return root


def test_missing_images_are_counted_by_reason_and_split_with_their_captions(root: Path, tmp_path: Path) -> None:
    table = build("karpathy", root, tmp_path / "table", allow_missing=0.2)
    assert table.description.missing == ["1.jpg", "5.jpg"]
    assert table.description.accounts is not None
    assert table.description.accounts.model_dump() == {
        "allow_missing": 0.2,
        "because": {"broken": 1, "not found": 1},
        "splits": {
            "train": {"items": {"annotated": 4, "missing": 1}, "texts": {"annotated": 8, "missing": 2}},
            "val": {"items": {"annotated": 3, "missing": 1}, "texts": {"annotated": 6, "missing": 2}},
            "test": {"items": {"annotated": 3, "missing": 0}, "texts": {"annotated": 6, "missing": 0}},
        },
    }
    assert annotated(table)["items"] == {"annotated": 10, "missing": 2}
    (note,) = notes(table, "val")
    assert note == (
        "the table lacks 2 of 10 annotated images (1 of 3 in val) and 4 of 20 annotated captions (2 of 6 in val): "
        "1 broken, 1 not found; it was built with allow_missing=0.2"
    )
    assert check(table.path, progress=None) == []


def test_the_command_takes_the_share_and_states_the_denominator(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "build", "karpathy", "--root", str(root), "--out", str(tmp_path / "table")]
    assert main(command) == main([*command, "--allow-missing", "0.19"]) == 3
    assert not (tmp_path / "table").exists()
    assert main([*command, "--allow-missing", "2"]) == 2
    assert main([*command, "--allow-missing", "0.2"]) == 0
    assert "missing 2 of 10 images" in capsys.readouterr().out


def test_a_table_that_lacks_nothing_has_nothing_to_say(tmp_path: Path) -> None:
    entries = [entry(n, "train") for n in range(3)]
    table = build("karpathy", karpathy(tmp_path / "root", entries), tmp_path / "table", allow_missing=0.5)
    assert notes(table, "train") == []
    assert table.description.accounts is not None
    assert table.description.accounts.allow_missing == 0.5


def test_features_that_are_zeros_are_told(tmp_path: Path) -> None:
    table = build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(3)]), tmp_path / "table")
    encoder = {"missing": ["1.jpg"]}
    table.description.features["lite0"] = FeatureEntry(
        kind="image", shape=(3, 1, 4), dtype="float16", encoder=encoder, sha256="0" * 64
    )
    assert notes(table, "train") == ["feature lite0 is zeros for 1 unreadable of 3 images"]


@pytest.mark.parametrize(("count", "total", "share"), [(29, 100, 0.29), (7, 100, 0.07), (0, 10, 0.0), (1, 3, 1 / 3)])
def test_a_share_that_is_met_exactly_is_not_exceeded(count: int, total: int, share: float) -> None:
    assert not exceeds(count, total, share)
    assert exceeds(count + 1, total, share)


def test_images_whose_split_was_to_be_drawn_are_counted_apart() -> None:
    missing = Missing(0.5)
    missing.add_image("a", "", 1, "not found")
    splits = missing.accounts({"train": {"items": 3, "texts": 6}}).splits
    assert splits["unknown"] == {"items": {"annotated": 1, "missing": 1}, "texts": {"annotated": 1, "missing": 1}}
    assert splits["train"]["items"] == {"annotated": 3, "missing": 0}
    with pytest.raises(UsageError, match=r"a share in \[0, 1\]"):
        Missing(1.1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"missing": ["1.jpg", "0.jpg"]}, "'0.jpg' is listed as missing, and is in the table"),
        ({"missing": ["1.jpg", "1.jpg"]}, "listed as missing twice"),
        ({"missing": []}, "0 images are listed as missing, the accounts count 2"),
        ({"accounts": None}, "no accounts of what was annotated"),
        ({"allow_missing": 0.1}, "2 of 10 images are missing, allowed was 0.1"),
        ({"annotated": 9}, "15 images annotated, 2 missing, and 8 in the table"),
    ],
)
def test_accounts_that_contradict_themselves_are_found(
    change: dict[str, Any], what: str, root: Path, tmp_path: Path
) -> None:
    table = build("karpathy", root, tmp_path / "table", allow_missing=0.2)
    path = table.path / "table.json"

    def edit(description: dict[str, Any]) -> None:
        if "allow_missing" in change:
            description["accounts"] |= change
        elif "annotated" in change:
            description["accounts"]["splits"]["train"]["items"] |= change
        else:
            description |= change

    redescribe(table.path, edit)
    problems = check(Table(table.path).path, progress=None)
    assert any(what in problem.what for problem in problems), problems
    assert {problem.file for problem in problems} == {str(path)}


def test_a_table_of_an_earlier_version_says_that_it_kept_no_accounts(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    build("karpathy", root, out, allow_missing=0.5)
    redescribe(out, lambda description: description.pop("accounts"))
    assert notes(Table(out), "val") == [
        "the table lacks 2 annotated images: built by an earlier version, which kept no accounts"
    ]
