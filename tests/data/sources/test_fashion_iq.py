"""FashionIQ: categories, pairs of captions, images that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.check.check import check
from raytrain.data.detect import detect
from raytrain.data.problems import Problems
from raytrain.data.sources.fashion_iq import CATEGORIES, phrasings, read_images, read_pairs
from raytrain.data.table import QuerySplit
from raytrain.errors import DataError, UsageError
from tests.data.pictures import left_behind, write_image
from tests.data.triplets import change, fashion_iq


def test_captions_are_joined_as_the_protocol_joins_them() -> None:
    assert phrasings(["is red.", " has long  sleeves"], "train") == [
        "Is red and has long sleeves",
        "Has long sleeves and is red",
        "Is red",
        "Has long sleeves",
    ]
    assert phrasings(["is red.", "has sleeves"], "val") == ["Is red and has sleeves", "Has sleeves and is red"]
    assert phrasings(["", "is red?"], "train") == phrasings(["is red", ". "], "val") == ["Is red"]
    assert phrasings(["", "."], "train") == []


def test_each_category_is_a_gallery_of_its_own(tmp_path: Path) -> None:
    table = build("fashion_iq", fashion_iq(tmp_path / "root"), tmp_path / "table")
    assert table.splits["val"] == {"items": 9, "texts": 9, "queries": 6}
    assert table.gallery == "group"
    val = QuerySplit(table, "val")
    ids = table.items["id"].to_pylist()
    first = [ids[val.items[position]] for position in (val.reference[0], val.targets[0])]
    assert first == ["dress/dval2", "dress/dval0"]
    assert val.candidates().sum(1).tolist() == [2] * 6
    assert (val.candidates() & val.relevant()).sum(1).tolist() == [1] * 6
    assert QuerySplit(table, "train").phrasings.tolist() == [4, 1] * 3
    assert val.phrasings.tolist() == [2, 1] * 3
    assert QuerySplit(table, "test", allow_test=True).relevant().sum() == 0


def test_an_image_that_two_categories_publish_in_two_splits_is_counted(tmp_path: Path) -> None:
    table = build("fashion_iq", fashion_iq(tmp_path / "root"), tmp_path / "table")
    assert table.description.source["shared_files"] == 1
    assert check(table.path, None) == []
    dress_only = build("fashion_iq", tmp_path / "root", tmp_path / "one", categories="dress")
    assert "shared_files" not in dress_only.description.source
    assert dress_only.splits["train"] == {"items": 3, "texts": 5, "queries": 2}


def test_missing_images_are_counted(tmp_path: Path) -> None:
    root = fashion_iq(tmp_path / "root")
    (root / "images" / "dval0.jpg").unlink()
    with pytest.raises(DataError, match=r"split\.dress\.val\.json, row 0: image .*dval0\.jpg not found"):
        build("fashion_iq", root, tmp_path / "table")
    assert left_behind(tmp_path) == ["root"]
    table = build("fashion_iq", root, tmp_path / "table", allow_missing=0.1)
    assert table.description.missing == ["dress/dval0"]
    assert table.description.source["missing_queries"] == ["dress-val0", "dress-val1"]
    assert table.splits["val"]["queries"] == 4


def test_bad_pairs_are_named_by_row(tmp_path: Path) -> None:
    root = fashion_iq(tmp_path / "root")
    change(root / "captions" / "cap.shirt.val.json", 0, captions=["", " . "])
    change(root / "captions" / "cap.shirt.val.json", 1, target="elsewhere")
    change(root / "captions" / "cap.dress.train.json", 1, captions="is red")
    with pytest.raises(DataError) as error:
        build("fashion_iq", root, tmp_path / "table")
    assert {(Path(p.file).name, p.row) for p in error.value.problems} == {
        ("cap.shirt.val.json", 0),
        ("cap.shirt.val.json", 1),
        ("cap.dress.train.json", 1),
    }
    with pytest.raises(UsageError, match="Categories: dress, shirt, toptee"):
        build("fashion_iq", root, tmp_path / "table", categories="dress,shoes")
    assert left_behind(tmp_path) == ["root"]


def pair_lists(root: Path) -> Path:
    """The two splits of one category as lists of two lines per pair, with the images in a folder of the category."""
    for split in ("train", "val"):
        names = [f"{split}{n}" for n in range(4)]
        for name in names:
            write_image(root / "images" / "dress" / f"{name}.jpg")
        pairs = [(names[0], names[1], ["is red", "has; sleeves"]), (names[1], names[2], ["is longer", ""])]
        lines = [f"dress/{a}.jpg;dress/{b}.jpg;{text}\n" for a, b, texts in pairs for text in texts]
        path = root / "captions_pairs" / f"fashion_iq-{split}-cap-dress.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    return root


def test_lists_of_two_lines_a_pair_are_read_with_the_gallery_they_name(tmp_path: Path) -> None:
    options = {"pairs": "captions_pairs", "categories": "dress"}
    table = build("fashion_iq", pair_lists(tmp_path / "root"), tmp_path / "table", **options)
    assert table.splits == {name: {"items": 3, "texts": n, "queries": 2} for name, n in (("train", 5), ("val", 3))}
    assert table.items["file"].to_pylist()[3:] == [f"dress/val{n}.jpg" for n in range(3)]  # val3 is in no pair
    val = QuerySplit(table, "val")
    assert (val.reference.tolist(), val.targets.tolist()) == ([0, 1], [1, 2])
    texts = [table.texts["text"][row].as_py() for row in val.text]
    assert texts == ["Is red and has; sleeves", "Is longer"]
    (best,) = detect(tmp_path / "root")
    assert (best.layout.options, best.layout.missing) == (options, [])


@pytest.mark.parametrize(
    ("lines", "row", "what"),
    [
        (["dress/a.jpg;dress/b.jpg;x"], 1, "without its second caption"),
        (
            ["dress/a.jpg;dress/b.jpg;x", "dress/a.jpg;dress/c.jpg;y", "dress/a.jpg;dress/c.jpg;z"],
            2,
            "expected the second",
        ),
        (["shirt/a.jpg;dress/b.jpg;x"], 1, "expected dress/name"),
        (["dress/a.jpg;dress/b.jpg"], 1, "expected dress/name"),
        (["dress/a.png;dress/b.jpg;x"], 1, "expected dress/name"),
        (["dress/a.jpg;dress/b.jpg; ", "dress/a.jpg;dress/b.jpg;."], 2, "both captions are empty"),
        (["dress/../x.jpg;dress/b.jpg;x", "dress/../x.jpg;dress/b.jpg;y"], 1, "climbs out"),
    ],
)
def test_bad_lists_are_named_by_line(lines: list[str], row: int, what: str, tmp_path: Path) -> None:
    root = pair_lists(tmp_path / "root")
    (root / "captions_pairs" / "fashion_iq-val-cap-dress.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as error:
        build("fashion_iq", root, tmp_path / "table", pairs="captions_pairs", categories="dress")
    assert any(problem.row == row and what in problem.what for problem in error.value.problems)
    assert left_behind(tmp_path) == ["root"]


# pairs of train, val and test, images of train, val and test, images that the val pairs name
PUBLISHED = {
    "dress": (5985, 2017, 2024, 11452, 3817, 3818, 2628),
    "shirt": (5988, 2038, 2038, 19036, 6346, 6346, 3089),
    "toptee": (6027, 1961, 2056, 16121, 5373, 5374, 2902),
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_real_annotations_have_the_published_counts(category: str, real_data: Path) -> None:
    root, problems = real_data / "fashioniq", Problems()
    if not root.is_dir():
        pytest.skip("no FashionIQ annotations here")
    pairs = [read_pairs(root, category, split, problems) for split in ("train", "val", "test")]
    images = [read_images(root, category, split, ".jpg", problems)[0] for split in ("train", "val", "test")]
    named = {name for query in pairs[1] for name in (query.reference, *query.targets)}
    assert (*map(len, pairs), *map(len, images), len(named)) == PUBLISHED[category]
    assert len(problems) == 0
    assert all(bool(query.targets) == (query.split != "test") for several in pairs for query in several)
    if category == "dress":
        assert pairs[1][0].targets == ["dress/B0084Y8XIU"]


def test_images_may_lie_in_a_folder_for_each_category(tmp_path: Path) -> None:
    root = fashion_iq(tmp_path / "root")
    for path in sorted((root / "images").iterdir()):
        for category in CATEGORIES:
            target = root / "image_data" / category / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        path.unlink()
    (root / "images").rmdir()
    (best,) = detect(root)
    assert (best.layout.options, best.layout.missing) == ({"images": "image_data"}, [])
    table = build("fashion_iq", root, tmp_path / "table", images="image_data")
    assert table.items["file"].to_pylist()[0] == "dress/dtrain0.jpg"
