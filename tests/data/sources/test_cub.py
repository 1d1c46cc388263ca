"""CUB Captions in both layouts: species apart, seen test photos out of training, validation off the test species."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.problems import Problems
from raytrain.data.sources import cub
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem, UsageError
from tests.data.pictures import left_behind, write_image

TRAIN = ["001.Auk", "002.Crow", "003.Duck", "004.Eagle", "005.Finch", "006.Gull"]
TEST = ["101.Hawk", "102.Ibis"]
EACH = 5  # photos per species
VAL = {1: ["001.Auk", "004.Eagle"], 2: ["002.Crow", "005.Finch"], 3: ["003.Duck", "006.Gull"]}
SEEN_BY_RULE = 1745  # of 8,855; the published list has 1,764
SEEN = [f"{species}/p4.jpg" for species in TRAIN]


def photos(root: Path) -> Path:
    for species in [*TRAIN, *TEST]:
        for number in range(EACH):
            write_image(
                root / "CUB_200_2011" / "images" / species / f"p{number}.jpg", 10 * int(species[:3]) + number, (8, 6)
            )
    return root


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def files(root: Path) -> Path:
    """The published layout in small: two captions per photo."""
    photos(root)
    for species in [*TRAIN, *TEST]:
        for number in range(EACH):
            captions = [f"A {species[4:].lower()} , seen {k} times." for k in range(2)]
            write(root / "text_c10" / species / f"p{number}.txt", captions)
    write(root / "trainvalclasses.txt", TRAIN)
    write(root / "testclasses.txt", TEST)
    for fold, held in VAL.items():
        write(root / f"valclasses{fold}.txt", held)
        write(root / f"trainclasses{fold}.txt", [species for species in TRAIN if species not in held])
    write(root / "seen_test_images.txt", SEEN)
    return root


def entries() -> list[dict[str, Any]]:
    images = []
    for species in [*TRAIN, *TEST]:
        for number in range(EACH):
            side = "train" if species in TRAIN else "test"
            first = 2 * len(images)
            sentences = [{"raw": f"a {species[4:].lower()}", "sentid": first + k} for k in range(2)]
            images.append(
                {"filename": f"{species}/p{number}.jpg", "cls": int(species[:3]), "split": side, "sentences": sentences}
            )
    return images


def one_json(root: Path, images: list[dict[str, Any]] | None = None) -> Path:
    photos(root)
    (root / "dataset_cub.json").write_text(json.dumps({"dataset": "cub", "images": images or entries()}))
    return root


def refused(root: Path, tmp_path: Path, **options: Any) -> list[Problem]:
    out = tmp_path / "tables"
    out.mkdir()
    with pytest.raises(DataError) as caught:
        build("cub", root, out / "made", **options)
    assert left_behind(out) == []
    return caught.value.problems


def species_of(table: Table, split: str) -> dict[str, int]:
    return dict(Counter(row["group"] for row in table.items.to_pylist() if row["split"] == split))


@pytest.mark.parametrize("layout", [files, one_json])
def test_all_training_species_train_but_for_their_seen_test_photos(layout: Any, tmp_path: Path) -> None:
    table = build("cub", layout(tmp_path / "cub"), tmp_path / "table")
    assert species_of(table, "train") == dict.fromkeys(TRAIN, 4)
    assert species_of(table, "val") == dict.fromkeys(TRAIN, 1)
    assert species_of(table, "test") == dict.fromkeys(TEST, EACH)
    # the fifth photo of a species is the one the small list names, and the one the rule takes
    assert [row["file"] for row in table.items.to_pylist() if row["split"] == "val"] == SEEN
    assert table.splits["train"] == {"items": 24, "texts": 48}
    assert table.description.source["seen_left_out"] == 0
    assert table.description.source["classes"] == {"train": 6, "val": 6, "test": 2}
    assert check(table.path) == []


@pytest.mark.parametrize("layout", [files, one_json])
@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_fold_validates_on_species_that_neither_train_nor_test(layout: Any, fold: int, tmp_path: Path) -> None:
    table = build("cub", layout(tmp_path / "cub"), tmp_path / "table", fold=fold)
    rest = [species for species in TRAIN if species not in VAL[fold]]
    assert species_of(table, "val") == dict.fromkeys(VAL[fold], EACH)
    assert species_of(table, "train") == dict.fromkeys(rest, EACH - 1)
    assert species_of(table, "test") == dict.fromkeys(TEST, EACH)
    assert table.description.source["seen_left_out"] == len(rest)
    assert not set(SEEN) & {row["file"] for row in table.items.to_pylist() if row["split"] == "train"}


def test_a_row_holds_its_species_and_its_captions_in_order(tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    write(root / "text_c10" / TRAIN[0] / "p0.txt", ["A \ufffd\ufffd bird\t.", "", "Another one."])
    table = build("cub", root, tmp_path / "table")
    assert table.items.to_pylist()[0] == {
        "id": "001.Auk/p0.jpg", "file": "001.Auk/p0.jpg", "split": "train", "group": "001.Auk", "attribution": "",
    }  # fmt: skip
    assert [row["text"] for row in table.texts.to_pylist()[:2]] == ["A bird .", "Another one."]
    assert table.texts.to_pylist()[0]["id"] == "001.Auk/p0.jpg#0"
    assert table.image_root == root / "CUB_200_2011" / "images"


def test_lists_beside_the_json_are_used(tmp_path: Path) -> None:
    root = one_json(tmp_path / "cub")
    write(root / "seen_test_images.txt", ["002.Crow/p0.jpg"])
    write(root / "valclasses1.txt", ["006.Gull"])
    table = build("cub", root, tmp_path / "table", fold=1)
    assert species_of(table, "val") == {"006.Gull": EACH}
    assert species_of(table, "train")["002.Crow"] == EACH - 1
    assert species_of(table, "train")["001.Auk"] == EACH


def test_lists_that_contradict_each_other_are_told_by_line(tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    write(root / "testclasses.txt", [*TEST, TRAIN[1], "103.Jay", "Kite", "../004.Eagle"])
    write(root / "valclasses2.txt", [TRAIN[1], TEST[0]])
    write(root / "trainclasses2.txt", [TRAIN[0], TRAIN[1]])
    write(root / "seen_test_images.txt", [SEEN[0], f"{TEST[0]}/p0.jpg", "001.Auk/none.jpg"])
    problems = [(Path(p.file).name, p.row, p.what) for p in refused(root, tmp_path, fold=2)]
    expected = [
        ("testclasses.txt", 3, "002.Crow is among the training species too"),
        ("testclasses.txt", 4, "no folder"),
        ("testclasses.txt", 5, "'Kite', expected a folder"),
        ("testclasses.txt", 6, "'../004.Eagle', expected a folder"),
        ("valclasses2.txt", 2, "101.Hawk is not one of the 6 training species"),
        ("trainclasses2.txt", 2, "002.Crow is held out too"),
        ("seen_test_images.txt", 2, "101.Hawk/p0.jpg is no photo of a training species"),
        ("seen_test_images.txt", 3, "001.Auk/none.jpg is no photo"),
    ]
    for name, row, what in expected:
        assert any((file, line) == (name, row) and text.startswith(what) for file, line, text in problems), (
            name,
            row,
            problems,
        )
    assert len(problems) == len(expected)


def test_all_problems_of_the_json_are_told_at_once(tmp_path: Path) -> None:
    wrong = entries()
    wrong[0]["split"] = "val"
    wrong[6]["split"] = "test"
    wrong[7]["cls"] = 9
    wrong[8]["filename"] = "../secret.jpg"
    wrong[9]["sentences"] = [{"raw": " "}]
    wrong[10] = "no entry"  # type: ignore[call-overload]
    wrong[12]["filename"] = wrong[11]["filename"]
    wrong[13]["sentences"][0]["sentid"] = 0
    problems = {p.row: p.what for p in refused(one_json(tmp_path / "cub", wrong), tmp_path)}
    assert sorted(row for row in problems if row is not None) == [0, 6, 7, 8, 9, 10, 12, 13]
    assert "split 'val'" in problems[0]
    assert "002.Crow is in test here and in train before" in problems[6]
    assert "class 9, but its folder says 2" in problems[7]
    assert "'../secret.jpg'" in problems[8]
    assert "no caption" in problems[9]
    assert "appears twice" in problems[12]
    assert "'0' appears twice" in problems[13]


def test_missing_photos_are_refused_counted_and_allowed_by_share(tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    for number in range(2):
        os.remove(root / "CUB_200_2011" / "images" / TRAIN[0] / f"p{number}.jpg")
    problems = refused(root, tmp_path, allow_missing=0.04)
    assert len(problems) == 2
    assert "allow_missing=SHARE" in problems[0].fix
    table = build("cub", root, tmp_path / "tables" / "made", allow_missing=0.05)
    assert table.description.missing == ["001.Auk/p0.jpg", "001.Auk/p1.jpg"]
    assert species_of(table, "train")["001.Auk"] == 2


def test_a_link_out_of_the_captions_or_the_photos_is_refused(tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    write(tmp_path / "secret.txt", ["a secret"])
    (root / "text_c10" / TRAIN[0] / "p9.txt").symlink_to(tmp_path / "secret.txt")
    assert "through a link" in refused(root, tmp_path)[0].what


@pytest.mark.parametrize(
    ("change", "message"),
    [("trainvalclasses.txt", "not found"), ("seen_test_images.txt", "not found"), ("text_c10", "neither text_c10/")],
)
def test_what_is_not_there_is_named(change: str, message: str, tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    (root / change).rename(tmp_path / "away")
    problems = refused(root, tmp_path)
    assert message in problems[0].what


def test_folds_and_folders_are_checked(tmp_path: Path) -> None:
    root = files(tmp_path / "cub")
    with pytest.raises(UsageError, match="fold is 0"):
        build("cub", root, tmp_path / "table", fold=4)
    with pytest.raises(DataError, match="images=FOLDER"):
        build("cub", root, tmp_path / "table", images="images")


def test_the_command_builds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = files(tmp_path / "cub"), tmp_path / "table"
    assert main(["data", "build", "cub", "--root", str(root), "--out", str(out), "fold=2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["splits"]["val"] == {"items": 2 * EACH, "texts": 4 * EACH}


def test_the_real_captions_have_the_published_counts(real_data: Path, tmp_path: Path) -> None:
    """Its photos are not to be had, so that the annotations are read and no table is made."""
    path = real_data / "cub" / "dataset_cub_captions.json"
    if not path.exists():
        pytest.skip("no CUB captions here")
    problems = Problems()
    birds = cub._from_json(path, problems)
    assert problems.list() == []
    assert Counter(birds.side[item.group] for item in birds.items) == {"train": 8855, "test": 2933}
    assert Counter(birds.side.values()) == {"train": 150, "test": 50}
    assert {len(item.texts) for item in birds.items} == {10}
    held = [cub._held_out(tmp_path, fold, birds, problems) for fold in (1, 2, 3)]
    assert [len(species) for species in held] == [50, 50, 50]
    assert len(set.union(*held)) == 150
    seen = cub._seen(tmp_path, birds, problems)
    photos_of = Counter(item.group for item in birds.items if birds.side[item.group] == "train")
    assert len(seen) == sum(count // 5 for count in photos_of.values()) == SEEN_BY_RULE
    assert all(birds.side[file.split("/")[0]] == "train" for file in seen)
