"""Positives by id, by class, from the package of ECCV Caption and from CxC's files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from raytrain.errors import DataError, UsageError
from raytrain.evaluation.protocols import relevance
from raytrain.evaluation.protocols.relevance import cxc_pairs, eccv_pairs, of_classes, of_pairs, padded, rated_pairs

packaged = pytest.mark.skipif(
    importlib.util.find_spec("eccv_caption") is None, reason="eccv_caption (extra eval) is not installed"
)


def test_pairs_become_positions_and_what_is_not_here_is_counted() -> None:
    pairs = {"i9": ["t1"], "i2": ["t3", "t1", "gone"], "i1": ["gone", "lost"], "away": ["t1"]}
    result = of_pairs(pairs, ["i1", "i2", "i9"], ["t1", "t2", "t3"])
    assert result.queries.tolist() == [1, 2]
    assert result.items.tolist() == [[0, 2], [0, -1]]
    assert result.without == 2  # i1 has no positive here, and away is not here
    assert result.outside == 1  # the one that i2 lacks
    assert result.number.tolist() == [2, 1]
    assert of_pairs(pairs, ["i1", "i2", "i9"], ["t1", "t2", "t3"], count_outside=True).number.tolist() == [3, 1]


def test_items_of_a_class_answer_its_queries() -> None:
    result = of_classes(["finch", "", "gull", "crow"], ["gull", "finch", "", "gull"])
    assert result.queries.tolist() == [0, 2]
    assert result.items.tolist() == [[1, -1], [0, 3]]
    assert result.number.tolist() == [1, 2]
    assert result.without == 2


def test_empty_lists_have_a_column_of_nothing() -> None:
    assert padded([[], []]).tolist() == [[-1], [-1]]
    assert of_classes(["a"], ["b"]).items.shape == (0, 1)


@packaged
def test_the_packaged_positives_have_the_published_counts() -> None:
    def counts(pairs: dict[str, relevance.Pairs]) -> dict[str, tuple[int, int, int]]:
        sizes = {name: [len(set(several)) for several in counts_of.values()] for name, counts_of in pairs.items()}
        return {name: (len(counts_of), sum(counts_of), max(counts_of)) for name, counts_of in sizes.items()}

    assert counts(eccv_pairs()) == {"i2t": (1_261, 22_550, 48), "t2i": (1_332, 11_279, 19)}
    assert counts(cxc_pairs()) == {"i2t": (5_000, 35_585, 19), "t2i": (24_972, 35_585, 8)}


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relevance.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"eccv_caption, which is not installed.*raytrain\[eval\]"):
        eccv_pairs()


def write_ratings(folder: Path) -> None:
    image = "COCO_val2014_{:012d}.jpg"
    (folder / "sis_test.csv").write_text(
        "image1,image2,agg_score,sampling_method\n"
        f"{image.format(7)},{image.format(42)},2.5,i2i_csim\n{image.format(7)},{image.format(9)},2.49,i2i_csim\n"
    )
    sentence = "COCO_val2014:sentid:{}"
    (folder / "sts_test.csv").write_text(
        "caption1,caption2,agg_score,sampling_method\n"
        f"{sentence.format(1)},{sentence.format(3)},3.0,c2c_isim\n{sentence.format(2)},{sentence.format(3)},2.9,c2c_isim\n"
    )


def test_rated_pairs_answer_each_other_and_so_do_captions_of_one_image(tmp_path: Path) -> None:
    write_ratings(tmp_path)
    result = rated_pairs(tmp_path, {"7": ["1", "2"], "9": ["3"]})
    assert result == {"i2i": {"7": {"42"}, "42": {"7"}}, "t2t": {"1": {"2", "3"}, "2": {"1"}, "3": {"1"}}}
    (tmp_path / "sis_test.csv").unlink()
    assert set(rated_pairs(tmp_path, {})) == {"t2t"}


def test_images_and_captions_rated_three_or_more_answer_each_other(tmp_path: Path) -> None:
    image, sentence = "COCO_val2014_{:012d}.jpg".format, "COCO_val2014:sentid:{}".format
    rows = [(1, 7, 5.0), (2, 7, 2.99), (2, 9, 3.0), (3, 9, 4.0)]
    lines = [f"{sentence(caption)},{image(at)},{score},c2i_original" for caption, at, score in rows]
    (tmp_path / "sits_test.csv").write_text("\n".join(["caption,image,agg_score,sampling_method", *lines]))
    assert rated_pairs(tmp_path, {}) == {
        "i2t": {"7": {"1"}, "9": {"2", "3"}},
        "t2i": {"1": {"7"}, "2": {"9"}, "3": {"9"}},
    }


def test_files_of_ratings_that_are_absent_or_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no sits_test\.csv, sis_test\.csv or sts_test\.csv"):
        rated_pairs(tmp_path, {})
    (tmp_path / "sis_test.csv").write_text("image1,image2\n")
    with pytest.raises(DataError, match="no column agg_score"):
        rated_pairs(tmp_path, {})
    (tmp_path / "sis_test.csv").write_text("image1,image2,agg_score\nCOCO_val2014_000000000001.jpg,two.jpg,3\n")
    with pytest.raises(DataError, match=r"sis_test.csv, row 2: not readable"):
        rated_pairs(tmp_path, {})
